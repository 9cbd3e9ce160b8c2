//! The windows on the X display, as the person's window manager sees them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use x11rb::{
    CURRENT_TIME,
    connection::Connection,
    protocol::{
        Event,
        xproto::{
            Atom, AtomEnum, ChangeWindowAttributesAux, ClientMessageEvent, ConnectionExt, EventMask, InputFocus,
            KEY_PRESS_EVENT, KEY_RELEASE_EVENT, Keycode, MapState, Window,
        },
        xtest::ConnectionExt as _,
    },
    rust_connection::RustConnection,
};

use crate::PATIENCE;

/// The left Shift key, as X names keys (X11/keysymdef.h).
const SHIFT: u32 = 0xffe1;

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

    /// What stands in the title bar of the window of a process (EWMH, `_NET_WM_NAME`).
    pub fn title(&self, pid: u32) -> Result<Option<String>> {
        let Some(window) = self.window(pid)? else { return Ok(None) };
        let (name, text) = (self.atom("_NET_WM_NAME")?, self.atom("UTF8_STRING")?);
        let title = self.x.get_property(false, window, name, text, 0, 1_024)?.reply()?;
        Ok(Some(String::from_utf8(title.value)?))
    }

    /// Closes the window of a process as its title bar does: by asking it (ICCCM 4.2.8.1).
    pub fn close(&self, pid: u32) -> Result<()> {
        let window = self.window(pid)?.context("the process has no window")?;
        let (protocols, delete) = (self.atom("WM_PROTOCOLS")?, self.atom("WM_DELETE_WINDOW")?);
        let ask = ClientMessageEvent::new(32, window, protocols, [delete, 0, 0, 0, 0]);
        self.x.send_event(false, window, EventMask::NO_EVENT, ask)?.check()?;
        Ok(())
    }

    /// Asks the window of a process whether it is alive, as a window manager does (EWMH, `_NET_WM_PING`), and waits for its
    /// answer, which GTK gives between two other things that its main loop does. How long that took; [`PATIENCE`] if there is none.
    pub fn ping(&self, pid: u32) -> Result<Duration> {
        let window = self.window(pid)?.context("the process has no window")?;
        let (protocols, ping) = (self.atom("WM_PROTOCOLS")?, self.atom("_NET_WM_PING")?);
        let listen = ChangeWindowAttributesAux::new().event_mask(EventMask::SUBSTRUCTURE_NOTIFY);
        self.x.change_window_attributes(self.root, &listen)?.check()?;
        let asked = Instant::now();
        let ask = ClientMessageEvent::new(32, window, protocols, [ping, CURRENT_TIME, window, 0, 0]);
        self.x.send_event(false, window, EventMask::NO_EVENT, ask)?.check()?;
        while asked.elapsed() < PATIENCE {
            match self.x.poll_for_event()? {
                Some(Event::ClientMessage(it)) if it.window == self.root && it.data.as_data32()[0] == ping => break,
                Some(_) => {}
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        Ok(asked.elapsed())
    }

    /// Gives the keyboard to the window of a process. Nobody else does on this display.
    pub fn focus(&self, pid: u32) -> Result<()> {
        let window = self.window(pid)?.context("the process has no window")?;
        self.x.set_input_focus(InputFocus::POINTER_ROOT, window, CURRENT_TIME)?.check()?;
        Ok(())
    }

    /// The code of the Shift key, which can be pressed anywhere without anything being written.
    pub fn shift(&self) -> Result<Keycode> {
        let (first, last) = (self.x.setup().min_keycode, self.x.setup().max_keycode);
        let mapping = self.x.get_keyboard_mapping(first, last - first + 1)?.reply()?;
        let mut of_keys = mapping.keysyms.chunks(mapping.keysyms_per_keycode.into());
        let at = of_keys.position(|it| it.contains(&SHIFT)).context("there is no Shift key")?;
        Ok(first + Keycode::try_from(at)?)
    }

    /// Presses a key or releases it, as a hand on the keyboard does: whichever window has the keyboard is told.
    pub fn key(&self, key: Keycode, down: bool) -> Result<()> {
        let what = if down { KEY_PRESS_EVENT } else { KEY_RELEASE_EVENT };
        self.x.xtest_fake_input(what, key, CURRENT_TIME, self.root, 0, 0, 0)?;
        Ok(self.x.flush()?)
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
