//! The intents of the interface as Tauri commands. Thin: the arguments are parsed into types by their declaration, the
//! client (or the hosts) does the work, and errors become a [`Failure`](circles_client::view::Failure).

mod campuses;
mod circles;
mod lan;
mod messages;
mod names;
mod oneself;

use tauri::{Runtime, ipc::Invoke};

pub use names::COMMANDS;

/// Answers every command of the plugin.
pub fn handler<R: Runtime>() -> impl Fn(Invoke<R>) -> bool + Send + Sync + 'static {
    tauri::generate_handler![
        campuses::campuses,
        campuses::invited,
        campuses::preview_invite,
        campuses::join,
        campuses::host,
        campuses::demo,
        campuses::hosts,
        campuses::leave_campus,
        campuses::reconnect,
        campuses::put_notices_aside,
        campuses::kept,
        campuses::stranded,
        campuses::status,
        oneself::edit_profile,
        oneself::devices,
        oneself::revoke_device,
        oneself::create_invite,
        oneself::invites,
        oneself::revoke_invite,
        lan::set_lan,
        lan::nearby,
        lan::doctor,
        lan::draw_qr,
        circles::circles,
        circles::create_circle,
        circles::edit_circle,
        circles::join_circle,
        circles::leave_circle,
        circles::set_muted,
        circles::people,
        circles::add_member,
        circles::remove_member,
        circles::focus,
        circles::presence,
        messages::timeline,
        messages::fill,
        messages::search,
        messages::first_since,
        messages::send,
        messages::edit,
        messages::delete,
        messages::react,
        messages::retry,
        messages::discard,
        messages::mark_read,
        messages::draft,
        messages::set_draft,
        messages::typing,
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::COMMANDS;

    #[test]
    fn the_window_may_call_exactly_what_the_interface_calls() {
        let interface = include_str!("../../../ui/src/lib/ipc.ts");
        let called: BTreeSet<String> = interface
            .split("ask('")
            .skip(1)
            .filter_map(|rest| rest.split_once('\''))
            .map(|(it, _)| it.into())
            .collect();
        assert_eq!(called, COMMANDS.iter().map(|it| (*it).to_owned()).collect());

        let capability: serde_json::Value =
            serde_json::from_str(include_str!("../../capabilities/main.json")).expect("it is JSON");
        let permissions = capability["permissions"].as_array().expect("a list of permissions");
        let allowed: BTreeSet<String> = permissions
            .iter()
            .filter_map(|it| it.as_str()?.strip_prefix("circles:allow-").map(|it| it.replace('-', "_")))
            .collect();
        assert_eq!(allowed, called);
    }
}
