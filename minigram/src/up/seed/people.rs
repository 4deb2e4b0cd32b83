//! The sample users, and what they say.

/// A sample user.
#[derive(Debug, Clone, Copy)]
pub struct Person {
    /// The user name.
    pub name: &'static str,
    /// As others read it.
    pub display_name: &'static str,
    /// About themselves.
    pub bio: &'static str,
}

const fn person(name: &'static str, display_name: &'static str, bio: &'static str) -> Person {
    Person { name, display_name, bio }
}

/// All of them. The first one is the user that `minigram up` prints.
pub const PEOPLE: [Person; 12] = [
    person("ada", "Ada Okafor", "Mountains before breakfast. Lagos, then Innsbruck."),
    person("bram", "Bram de Vries", "Sea, mostly. Sometimes the ferry is late and I am glad."),
    person("chiyo", "Chiyo Tanaka", "Night photographer. I own four pairs of warm socks."),
    person("diego", "Diego Fuentes", "City lights, out of focus on purpose."),
    person("esra", "Esra Yılmaz", "Sand, wind, repeat."),
    person("femi", "Femi Adeyemi", "Patterns in plants. Teacher of mathematics."),
    person("greta", "Greta Lindqvist", "North of everything. Film and digital."),
    person("hassan", "Hassan Karimi", "One lens, one walk, one picture a day."),
    person("ines", "Inês Carvalho", "Looking for the quiet hour."),
    person("jonas", "Jonas Weber", "By train to wherever the rails end."),
    person("kavya", "Kavya Raman", "Light is the subject. Bengaluru."),
    person("liam", "Liam O'Connor", "Weather is just a filter."),
];

/// What they write under photos.
pub const COMMENTS: [&str; 16] = [
    "That light!",
    "Where is this? I want to go there.",
    "I can almost hear it.",
    "Wallpaper material. Thank you.",
    "The colours are unreal.",
    "How long did you wait for this?",
    "Best one yet.",
    "I was there last year and saw only fog.",
    "Beautiful composition.",
    "Makes me want to pack a bag.",
    "Printed and framed, please.",
    "Which lens?",
    "The edges of it, wow.",
    "This made my morning.",
    "Teach me.",
    "So calm.",
];
