//! The windows on the X display, as the person's window manager sees them.

use anyhow::{Context, Result};
use x11rb::{
    CURRENT_TIME,
    connection::Connection,
    protocol::xproto::{Atom, AtomEnum, ClientMessageEvent, ConnectionExt, EventMask, InputFocus, MapState, Window},
    rust_connection::RustConnection,
};

/// The display of `scripts/with-display`.
pub struct Screen {
    x: RustConnection,
    root: Window,
}

impl Screen {
    /// Connects to it.
    pub fn open() -> Result<Self> {
        let (x, number) = RustConnection::connect(None).context("there is no display (scripts/with-display)")?;
        let root = x.setup().roots[number].root;
        Ok(Self { x, root })
    }

    /// Whether a process shows a window.
    pub fn shows(&self, pid: u32) -> Result<bool> {
        let Some(window) = self.window(pid)? else { return Ok(false) };
        Ok(self.x.get_window_attributes(window)?.reply()?.map_state == MapState::VIEWABLE)
    }

    /// Closes the window of a process as its title bar does: by asking it (ICCCM 4.2.8.1).
    pub fn close(&self, pid: u32) -> Result<()> {
        let window = self.window(pid)?.context("the process has no window")?;
        let (protocols, delete) = (self.atom("WM_PROTOCOLS")?, self.atom("WM_DELETE_WINDOW")?);
        let ask = ClientMessageEvent::new(32, window, protocols, [delete, 0, 0, 0, 0]);
        self.x.send_event(false, window, EventMask::NO_EVENT, ask)?.check()?;
        Ok(())
    }

    /// Gives the keyboard to the window of a process. Nobody else does on this display.
    pub fn focus(&self, pid: u32) -> Result<()> {
        let window = self.window(pid)?.context("the process has no window")?;
        self.x.set_input_focus(InputFocus::POINTER_ROOT, window, CURRENT_TIME)?.check()?;
        Ok(())
    }

    /// The window of a process that can be closed; its helpers have none of the protocols.
    fn window(&self, pid: u32) -> Result<Option<Window>> {
        let (of_pid, protocols) = (self.atom("_NET_WM_PID")?, self.atom("WM_PROTOCOLS")?);
        for window in self.x.query_tree(self.root)?.reply()?.children {
            // A window may go while it is looked at.
            let Ok(found) = self.x.get_property(false, window, of_pid, AtomEnum::CARDINAL, 0, 1)?.reply() else {
                continue;
            };
            let Ok(speaks) = self.x.get_property(false, window, protocols, AtomEnum::ATOM, 0, 8)?.reply() else {
                continue;
            };
            let is_its = found.value32().is_some_and(|mut it| it.next() == Some(pid));
            if is_its && speaks.value_len > 0 && self.is_main(window)? {
                return Ok(Some(window));
            }
        }
        Ok(None)
    }

    /// GTK keeps a tiny window per process for itself.
    fn is_main(&self, window: Window) -> Result<bool> {
        Ok(self.x.get_geometry(window)?.reply().is_ok_and(|it| it.width > 100))
    }

    fn atom(&self, name: &str) -> Result<Atom> {
        Ok(self.x.intern_atom(false, name.as_bytes())?.reply()?.atom)
    }
}
