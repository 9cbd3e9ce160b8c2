//! What an interface would show that follows the updates and asks only when they say so, as ours does.

use std::sync::Arc;

use circles_client::{
    Client,
    view::{CircleView, Update},
};
use circles_protocol::CampusId;
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::shared::{Device, lock};

/// Follows the updates of an app until it is closed.
pub async fn follow(client: Client, device: Arc<Device>, campus: CampusId, mut updates: Receiver<Update>) {
    let mut anew = true;
    loop {
        if anew {
            let Ok(circles) = client.circles(campus).await else { return };
            lock(&device.shown).told = circles;
        }
        anew = match updates.recv().await {
            Ok(Update::Circles { circles, .. }) => {
                for circle in circles {
                    take(&mut lock(&device.shown).told, circle);
                }
                false
            }
            Ok(Update::CirclesGone { circles: gone, .. }) => {
                lock(&device.shown).told.retain(|it| !gone.contains(&it.id));
                false
            }
            // People were renamed, or updates were lost.
            Ok(Update::Campuses | Update::Timeline { circle_id: None, .. }) | Err(RecvError::Lagged(_)) => true,
            Ok(_) => false,
            Err(RecvError::Closed) => return,
        };
    }
}

fn take(told: &mut Vec<CircleView>, circle: CircleView) {
    match told.iter_mut().find(|it| it.id == circle.id) {
        Some(known) => *known = circle,
        None => told.push(circle),
    }
}
