//! `circles-relay invite`

use std::time::Duration;

use anyhow::Context;
use circles_protocol::{InviteLink, Role, limits::INVITE_USES_MAX};
use circles_relay::{Identity, NewInvite, OnLan};
use clap::{Args, ValueEnum};

use super::{options::Place, runtime, serve::told};

/// The options of the command.
#[derive(Args)]
pub struct Invite {
    #[command(flatten)]
    place: Place,

    /// Role in the campus of who comes in.
    #[arg(long, value_enum, default_value_t = CampusRole::Member)]
    role: CampusRole,

    /// Who comes in also joins the circle of this name.
    #[arg(long, value_name = "NAME")]
    circle: Option<String>,

    /// How often the link can be used.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(INVITE_USES_MAX)))]
    uses: u32,

    /// On the LAN: a link for a browser, which warns of it. The relay must serve guests (--lan-guests).
    #[arg(long)]
    guest: bool,

    /// For how many days it holds.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=366))]
    days: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum CampusRole {
    Owner,
    Member,
}

impl Invite {
    /// Makes the invite and prints its link.
    pub fn run(self) -> anyhow::Result<()> {
        let settings = self.place.settings_beside()?;
        let invite = NewInvite {
            role: match self.role {
                CampusRole::Owner => Role::Owner,
                CampusRole::Member => Role::Member,
            },
            circle_id: None,
            max_uses: self.uses,
            life: Duration::from_secs(u64::from(self.days) * 24 * 3600),
        };
        let made = runtime()?.block_on(circles_relay::invite(&settings, invite, self.circle.as_deref()))?;
        if let Some(port) = Place::noted_lan_port(&settings) {
            let key = Identity::keep(&settings.data_dir)?.fingerprint();
            let link = InviteLink::on_lan(OnLan::new(key, made.campus_name, port).place(), made.code)?;
            if self.guest {
                println!("{}join#{}", link.relay, link.code);
            } else {
                println!("{}", told(&link));
            }
            return Ok(());
        }
        println!("{}", InviteLink::new(settings.public_url(), made.code).context("the public address makes no link")?);
        Ok(())
    }
}
