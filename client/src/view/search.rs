//! What a search found, and how much it covered.

use circles_protocol::{CircleId, MessageId, Seq, UnixMs};

use super::{CircleView, Deserialize, PersonView, Serialize, TS};

view! {
    /// What a search found of a campus.
    pub struct SearchView {
        /// Circles by their names, at most 8.
        pub circles: Vec<CircleView>,
        /// People by their names, at most 8.
        pub people: Vec<PersonView>,
        /// Messages, the newest first.
        pub messages: Vec<FoundMessage>,
        /// There may be older ones: ask again with this.
        pub more: Option<String>,
        /// How much was searched.
        pub covered: SearchCoverage,
    }

    /// A message that was found.
    pub struct FoundMessage {
        /// The message.
        pub id: MessageId,
        /// Its circle.
        pub circle_id: CircleId,
        /// The circle's name.
        pub circle_name: String,
        /// Its number there.
        pub seq: Seq,
        /// Who wrote it.
        pub author: PersonView,
        /// When it was sent.
        pub at: UnixMs,
        /// Some 200 characters around what was found, on one line.
        pub snippet: Vec<SnippetPart>,
    }

    /// A part of a text.
    pub struct SnippetPart {
        /// The text.
        pub text: String,
        /// Whether it is what was searched for.
        pub hit: bool,
    }

    /// How much of the circles was searched: what is not held yet, or not read by the search yet, cannot be found.
    pub struct SearchCoverage {
        /// Messages that were searched.
        #[ts(type = "number")]
        pub searched: u64,
        /// Messages that there are, as far as known.
        #[ts(type = "number")]
        pub total: u64,
        /// The circles of which some were not searched, those with the most first; at most 20.
        pub partly: Vec<CircleCoverage>,
    }

    /// How much of a circle was searched.
    pub struct CircleCoverage {
        /// The circle.
        pub id: CircleId,
        /// Its name.
        pub name: String,
        /// Messages that were searched.
        #[ts(type = "number")]
        pub searched: u64,
        /// Messages that there are.
        #[ts(type = "number")]
        pub total: u64,
    }
}
