//! The profile.

use circles_protocol::{Person, api::EditProfile};

use super::Tx;
use crate::failure::Failure;

/// Changes name and colour.
pub fn edit(tx: &mut Tx<'_>, person: &Person, request: &EditProfile) -> Result<Person, Failure> {
    let mut edited = person.clone();
    if let Some(name) = &request.name {
        name.trim().clone_into(&mut edited.name);
    }
    if let Some(hue) = request.hue {
        edited.hue = hue;
    }
    if edited == *person { Ok(edited) } else { tx.put_person(edited) }
}
