//! 256 short words that sound unlike each other, one for each byte. Their order is part of the protocol: two devices that show
//! words for one key must show the same ones.

/// The word of each byte.
#[rustfmt::skip]
pub const WORDS: [&str; 256] = [
    "acorn", "actor", "album", "alley", "amber", "angle", "ankle", "apple", "apron", "arena", "arrow", "aspen",
    "atlas", "attic", "autumn", "badge", "bagel", "baker", "bamboo", "banjo", "barley", "basil", "basket", "beach",
    "beacon", "beaver", "bell", "berry", "birch", "bishop", "bison", "bottle", "branch", "bread", "breeze", "brick",
    "bridge", "bronze", "brook", "brush", "bucket", "buffalo", "butter", "button", "cabin", "cactus", "camel",
    "camera", "candle", "canoe", "canyon", "carbon", "carpet", "carrot", "castle", "cedar", "cello", "chalk",
    "cherry", "chess", "cider", "cinema", "circus", "citrus", "clay", "cliff", "clock", "cloud", "clover", "cobalt",
    "cocoa", "comet", "compass", "copper", "coral", "cotton", "cradle", "crane", "crater", "crayon", "cricket",
    "crown", "crystal", "cube", "cymbal", "daisy", "dancer", "delta", "desert", "diamond", "diesel", "dolphin",
    "donkey", "dragon", "drum", "eagle", "echo", "eclipse", "elbow", "ember", "emerald", "engine", "falcon",
    "feather", "fennel", "ferry", "fiddle", "fig", "finch", "flame", "flint", "flute", "forest", "fossil", "fountain",
    "fox", "galaxy", "garden", "garlic", "geyser", "ginger", "glacier", "globe", "glove", "goblet", "granite",
    "grape", "guitar", "hammer", "harbor", "harp", "hazel", "hedge", "helmet", "hermit", "heron", "honey", "hornet",
    "iceberg", "igloo", "indigo", "island", "ivory", "ivy", "jacket", "jaguar", "jasmine", "jigsaw", "jungle",
    "kayak", "kettle", "kitten", "kiwi", "koala", "ladder", "lagoon", "lantern", "laurel", "lava", "lemon", "lichen",
    "lilac", "lime", "linen", "lion", "lizard", "lobster", "locket", "lotus", "lumber", "magnet", "mango", "maple",
    "marble", "meadow", "melon", "mermaid", "meteor", "mint", "mirror", "mitten", "monkey", "moon", "moss",
    "mountain", "mulberry", "mustard", "napkin", "nectar", "nickel", "noodle", "nutmeg", "oak", "oasis", "oat",
    "ocean", "olive", "onion", "opal", "orbit", "orchid", "otter", "owl", "oyster", "paddle", "palace", "panda",
    "paper", "parrot", "pasta", "peach", "pearl", "pebble", "pelican", "pencil", "pepper", "piano", "pigeon", "pilot",
    "pine", "planet", "plum", "pocket", "pollen", "poppy", "potato", "prairie", "prism", "puffin", "pumpkin",
    "puzzle", "quartz", "quilt", "rabbit", "radar", "radish", "raven", "reef", "ribbon", "river", "robin", "rocket",
    "rose", "ruby", "saddle", "saffron", "salmon", "sandal", "satin", "scarf", "seal", "shadow", "shell", "silver",
    "sketch", "sparrow",
];
