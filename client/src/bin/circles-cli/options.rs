//! The command line's words.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Circles on the command line, with the same data as the app.
///
/// While the app is open, the command line reads what it holds and puts what you write into its outbox.
/// Exit codes: 0 done; 1 an error; 2 wrong use; 3 the relay cannot be reached.
#[derive(Parser)]
#[command(name = "circles-cli", version)]
pub struct Options {
    /// Where the data is [default: that of the app]
    #[arg(long, env = "CIRCLES_DATA_DIR", global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Which campus, by name or id, if you are in several
    #[arg(long, global = true, value_name = "NAME")]
    pub campus: Option<String>,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub json: bool,
    /// Keep the key of this device in a file and not in the keyring
    #[arg(long, env = "CIRCLES_NO_KEYRING", global = true)]
    pub no_keyring: bool,
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Join a campus with an invite
    Join {
        /// The link, as you got it, or the code that you were told; an address may follow it: CODE@192.168.1.5
        link: String,
        /// Your name there
        #[arg(long)]
        name: String,
    },
    /// List the relays that say they are on this network; to join one you need its invite
    Nearby,
    /// Say what stands between this computer and its relays, and what to do about it
    Doctor,
    /// List the circles: those you are in, and open ones you could join
    Circles,
    /// Send a message, and wait until the relay has it
    Send {
        /// The circle's name or id
        circle: String,
        /// The text; `-` reads it from standard input
        text: String,
        /// The number of the message that it answers
        #[arg(long, value_name = "SEQ")]
        reply_to: Option<u64>,
        /// Do not wait: it goes out when the app or `watch` runs
        #[arg(long)]
        queue: bool,
    },
    /// Print messages as they come, and edits, deletions and reactions; Ctrl-C ends it
    Tail {
        /// Only this circle
        circle: Option<String>,
        /// Begin after this number (needs a circle); otherwise with what comes from now on
        #[arg(long, value_name = "SEQ", requires = "circle")]
        since: Option<u64>,
    },
    /// Print the last messages that are held
    History {
        /// The circle's name or id
        circle: String,
        /// How many
        #[arg(short, default_value_t = 20)]
        n: u64,
    },
    /// Search what is held: messages, people and circles
    ///
    /// All words must stand in a message, and the last may be a beginning. `"a phrase"`, `from:name`, `in:circle`,
    /// `on:2026-11-24`, `before:2026-11` and `after:2026` narrow it down. Case and accents do not count.
    Search {
        /// What to search for
        #[arg(required = true, num_args = 1..)]
        query: Vec<String>,
        /// Only messages of this circle
        #[arg(long, value_name = "CIRCLE")]
        circle: Option<String>,
        /// How many messages, at the most 200
        #[arg(short, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
        n: u32,
    },
    /// Say what is held and what is missing of each circle, what is unread and unsent
    Status,
    /// Stay connected and say how it stands
    Watch {
        /// End as soon as everything is held
        #[arg(long)]
        until_complete: bool,
        /// Catch this circle up first
        #[arg(long, value_name = "CIRCLE")]
        focus: Option<String>,
    },
    /// Change the text of a message of yours
    Edit {
        /// The circle's name or id
        circle: String,
        /// The message's number
        seq: u64,
        /// The new text
        text: String,
    },
    /// Delete a message
    Delete {
        /// The circle's name or id
        circle: String,
        /// The message's number
        seq: u64,
    },
    /// React to a message
    React {
        /// The circle's name or id
        circle: String,
        /// The message's number
        seq: u64,
        /// With this emoji
        emoji: String,
        /// Take the reaction back
        #[arg(long)]
        off: bool,
    },
    /// Mark a circle as read
    Read {
        /// The circle's name or id
        circle: String,
    },
    /// Mute a circle on all your devices: you are told of it only when you are mentioned
    Mute {
        /// The circle's name or id
        circle: String,
        /// Be told of it again
        #[arg(long)]
        off: bool,
    },
    /// Create a circle
    CreateCircle {
        /// Its name
        name: String,
        /// What it is about
        #[arg(long, default_value = "")]
        topic: String,
        /// Seen by its members only
        #[arg(long)]
        private: bool,
    },
    /// Join an open circle
    JoinCircle {
        /// The circle's name or id
        circle: String,
    },
    /// Make an invite link
    Invite {
        /// Who comes in joins this circle too
        circle: Option<String>,
        /// Add one device of your own instead
        #[arg(long, conflicts_with = "circle")]
        device: bool,
    },
}
