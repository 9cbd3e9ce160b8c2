//! Revoking devices.

use circles_protocol::{DeviceId, Person, Pos, RevokedDevice};

use super::Tx;
use crate::{access::Facts, failure::Failure};

/// Revokes a device of the person. Revoking twice is revoking once.
pub fn revoke(tx: &mut Tx<'_>, person: &Person, id: DeviceId) -> Result<(), Failure> {
    let device = tx.device(id)?.filter(|it| it.person_id == person.id).ok_or_else(Failure::not_found)?;
    if device.revoked_at.is_some() {
        return Ok(());
    }
    let (revoked_at, version) = (tx.now(), Pos::ZERO);
    tx.put_revocation(RevokedDevice { id, person_id: person.id, revoked_at, version })
}
