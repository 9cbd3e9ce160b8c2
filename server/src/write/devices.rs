//! Revoking devices.

use circles_protocol::{DeviceId, Person};

use super::Tx;
use crate::{failure::Failure, store::devices};

/// Revokes a device of the person. Revoking twice is revoking once.
pub fn revoke(tx: &mut Tx<'_>, person: &Person, id: DeviceId) -> Result<(), Failure> {
    let device = devices::get(tx.conn(), id)?.filter(|it| it.person_id == person.id);
    if device.is_none() {
        return Err(Failure::not_found());
    }
    Ok(devices::revoke(tx.conn(), id, tx.now())?)
}
