//! How a key is declared: once, as a field of the model. Reader, defaults, schema, `show` and reference follow from it.
//!
//! ```text
//! section! {
//!     /// How long to wait for a server.                                  <- reference, and rustdoc
//!     pub struct PoolTimeout "timeout of [pool.NAME]" {
//!         /// To connect.
//!         connect: Duration = key(DURATION, Is("5s"), r#""1s""#),
//!     //  field    type           kind      default   example
//!     }
//! }
//! ```
//!
//! A field whose key has another name says so: `hosts as "host": ...`. Several keys that make one field are a table of
//! keys of their own, which the field names: `action: Action = flat(&ACTIONS)`; no key has the name of such a field. The words of an enumeration stand beside
//! its variants, in [`words!`](crate::declare::words).

use crate::keys::{Absent, Kind, Section};
use crate::read::{Reader, Table, Value};
use crate::show::{Lines, quote};

/// A struct of the model, with its table of the file.
macro_rules! section {
    (
        $(#[doc = $doc:literal])*
        $(#[derive($($derive:ident),+)])?
        pub struct $name:ident $(($named:ty))? $title:literal {
            $(
                $(#[doc = $key_doc:literal])*
                $field:ident $(as $key:literal)? : $type:ty = $member:expr,
            )*
        }
        $(groups $groups:expr)?
    ) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone $(, $($derive),+)?)]
        pub struct $name {
            $(
                /// NAME
                pub name: $named,
            )?
            $(
                $(#[doc = $key_doc])*
                pub $field: $type,
            )*
        }

        impl $crate::declare::Declared for $name {
            const SECTION: &'static $crate::keys::Section = {
                static SECTION: $crate::keys::Section = $crate::keys::Section {
                    title: $title,
                    doc: $crate::keys::trimmed(concat!($($doc),*)),
                    members: &[$(
                        $member.called($crate::declare::key_name!($field $($key)?), concat!($($key_doc),*))
                    ),*],
                    groups: $crate::declare::groups!($($groups)?),
                };
                &SECTION
            };

            fn read_table(table: &$crate::read::Table<'_>) -> Option<Self> {
                use $crate::declare::{Field, Rules};
                $(let $field = <$type as Field>::read(table, $crate::declare::key_name!($field $($key)?));)*
                #[allow(unused_mut)]
                let mut read = Self { $(name: <$named>::from(table.name()),)? $($field: $field?),* };
                Rules::finish(&mut read, table);
                Some(read)
            }

            fn show_table(&self, out: &mut $crate::show::Lines) {
                use $crate::declare::{Field, Rules, Shown};
                $(
                    let name: &$named = &self.name;
                    out.header($title.replace("NAME", &$crate::show::name(name.as_str())));
                )?
                $(
                    let key = $crate::declare::key_name!($field $($key)?);
                    match Rules::shown(self, key) {
                        Shown::Value => Field::show(&self.$field, Self::SECTION, key, out),
                        Shown::Comment(text) => out.comment(text),
                        Shown::Nothing => {}
                    }
                )*
            }
        }
    };
}

/// A table of keys that no single struct has: those that make one field together, or an enum.
macro_rules! keys {
    (
        $(#[doc = $doc:literal])*
        $visibility:vis static $name:ident $title:literal {
            $($(#[doc = $key_doc:literal])* $key:ident = $member:expr,)*
        }
        $(groups $groups:expr)?
    ) => {
        $visibility static $name: $crate::keys::Section = $crate::keys::Section {
            title: $title,
            doc: $crate::keys::trimmed(concat!("", $($doc),*)),
            members: &[$($member.called(stringify!($key), concat!($($key_doc),*))),*],
            groups: $crate::declare::groups!($($groups)?),
        };
    };
}

/// An enum whose variants are words of the file. A variant without a word does not compile.
macro_rules! words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident $(($payload:ty))? = $word:literal,)+
        }
    ) => {
        $(#[$meta])*
        pub enum $name {
            $($(#[$variant_meta])* $variant $(($payload))?,)+
        }

        impl $name {
            /// All of its words, as the file has them.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word in the file.
            pub const fn word(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $word,)+
                }
            }

            /// What a word of the file stands for; what the variant holds besides is at its default.
            pub fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant $((<$payload>::default()))?),)+
                    _ => None,
                }
            }
        }
    };
}

/// Makes enums of words what one key is.
macro_rules! word_settings {
    ($($name:ident),+) => {$(
        impl $crate::declare::Setting for $name {
            fn read(value: &$crate::read::Value<'_>) -> Option<Self> {
                value.word().and_then(Self::from_word)
            }

            fn declared(_: &'static $crate::keys::Kind, default: Option<&'static str>) -> Option<Self> {
                default.and_then(Self::from_word)
            }

            fn show(&self, _: &'static $crate::keys::Kind) -> String {
                $crate::show::quote(self.word())
            }
        }
    )+};
}

/// The name of a key: that of its field, unless it has one of its own.
macro_rules! key_name {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

macro_rules! groups {
    () => {
        &[]
    };
    ($groups:expr) => {
        $groups
    };
}

pub(crate) use {groups, key_name, keys, section, word_settings, words};

/// What `section!` makes of a struct.
pub(crate) trait Declared: Sized {
    /// Its keys.
    const SECTION: &'static Section;

    /// Reads the table; `None` if a key without a default is missing or faulty, which was noted.
    fn read_table(table: &Table<'_>) -> Option<Self>;

    /// Writes every key as it would be read.
    fn show_table(&self, out: &mut Lines);
}

/// What concerns several keys of a table, or its other forms.
pub(crate) trait Rules: Declared {
    /// Notes what does not fit together, and fills in defaults that depend on other keys.
    fn finish(&mut self, _table: &Table<'_>) {}

    /// Reads a value that stands for the table: an address for a server, `true` for all defaults.
    fn short(value: &Value<'_>) -> Option<Self> {
        value.refuse_type("")
    }

    /// True when a table that holds the keys of this one among others says something of it.
    fn is_given(_table: &Table<'_>) -> bool {
        true
    }

    /// How `show` writes a key: not at all where it would have no effect.
    fn shown(&self, _key: &str) -> Shown {
        Shown::Value
    }

    /// The value that stands for the whole table in `show`, if it has such a one.
    fn shown_short(&self) -> Option<String> {
        None
    }
}

/// How `show` writes a key.
pub(crate) enum Shown {
    Value,
    Comment(String),
    Nothing,
}

impl Shown {
    pub(crate) fn only_if(has_effect: bool) -> Self {
        if has_effect { Self::Value } else { Self::Nothing }
    }
}

/// The model with all defaults, as for an empty table; what has no default is empty.
pub(crate) fn declared<T: Declared>() -> Option<T> {
    T::read_table(&Table::empty(&Reader::default(), T::SECTION))
}

/// The default of one key of `T`.
pub(crate) fn default_of<T: Declared, F: Field>(key: &'static str) -> F {
    F::read(&Table::empty(&Reader::default(), T::SECTION), key).expect("a declared default")
}

/// What one value of the file is.
pub(crate) trait Setting: Sized {
    /// Reads it, or notes what is wrong.
    fn read(value: &Value<'_>) -> Option<Self>;

    /// The default: a declared one, or what `None` makes of it. `None` if there is no such thing.
    fn declared(kind: &'static Kind, default: Option<&'static str>) -> Option<Self>;

    /// As it would be written.
    fn show(&self, kind: &'static Kind) -> String;

    /// Reads it from a table that holds its keys among others.
    fn read_flat(_table: &Table<'_>) -> Option<Self> {
        None
    }

    /// Writes its keys into such a table.
    fn show_flat(&self, _out: &mut Lines) {}
}

impl<T: Rules> Setting for T {
    fn read(value: &Value<'_>) -> Option<Self> {
        match value.short() {
            Some(short) => T::short(&short),
            None => T::read_table(&value.table()?),
        }
    }

    fn declared(_: &'static Kind, _: Option<&'static str>) -> Option<Self> {
        declared()
    }

    fn show(&self, _: &'static Kind) -> String {
        self.shown_short().unwrap_or_else(|| {
            let mut lines = Lines::default();
            self.show_table(&mut lines);
            lines.inline()
        })
    }

    fn read_flat(table: &Table<'_>) -> Option<Self> {
        if T::is_given(table) { T::read_table(table) } else { None }
    }

    fn show_flat(&self, out: &mut Lines) {
        self.show_table(out);
    }
}

/// What a field of the model is: a setting, one that may be missing, several of them, or what several keys make.
pub(crate) trait Field: Sized {
    /// Reads the key, or takes its default. `None` if it has none; that was noted.
    fn read(table: &Table<'_>, key: &'static str) -> Option<Self>;

    /// Writes the key as it would be read.
    fn show(&self, section: &'static Section, key: &'static str, out: &mut Lines);
}

impl<T: Setting> Field for T {
    fn read(table: &Table<'_>, key: &'static str) -> Option<Self> {
        let Some(declared) = table.section.find(key) else { return T::read_flat(table) };
        table.value(key).and_then(|value| T::read(&value)).or_else(|| match declared.absent {
            Absent::Is(default) => T::declared(&declared.kind, Some(default)),
            Absent::Means(_) => T::declared(&declared.kind, None),
            Absent::Are(_) | Absent::Required => None,
        })
    }

    fn show(&self, section: &'static Section, key: &'static str, out: &mut Lines) {
        match section.find(key) {
            None => self.show_flat(out),
            Some(declared) => match &declared.kind {
                Kind::Section(below) if section.is_root() => {
                    out.header(below.title);
                    self.show_flat(out);
                }
                kind => match self.show(kind) {
                    nothing if nothing == "{}" => out.absent(declared),
                    shown => out.line(key, shown),
                },
            },
        }
    }
}

impl<T: Setting> Field for Option<T> {
    fn read(table: &Table<'_>, key: &'static str) -> Option<Self> {
        let Some(declared) = table.section.find(key) else { return Some(T::read_flat(table)) };
        let none = declared.kind.none();
        Some(match (table.value(key), &declared.absent) {
            (Some(value), _) if none.is_some_and(|word| value.is_word(word)) => None,
            (Some(value), _) => T::read(&value),
            (None, Absent::Is(default)) if Some(*default) != none => {
                T::declared(&declared.kind, Some(default))
            }
            (None, _) => None,
        })
    }

    fn show(&self, section: &'static Section, key: &'static str, out: &mut Lines) {
        match (self, section.find(key)) {
            (Some(setting), _) => Field::show(setting, section, key, out),
            (None, Some(declared)) => match declared.kind.none() {
                Some(word) => out.line(key, quote(word)),
                None => out.absent(declared),
            },
            (None, None) => {}
        }
    }
}

impl<T: Setting> Field for Vec<T> {
    fn read(table: &Table<'_>, key: &'static str) -> Option<Self> {
        let declared = table.section.key(key);
        Some(match (table.value(key), &declared.absent, &declared.kind) {
            (Some(value), _, Kind::Named(..) | Kind::Tables(..)) => {
                value.tables().iter().filter_map(T::read_flat).collect()
            }
            (Some(value), ..) => value.items().iter().filter_map(T::read).collect(),
            (None, Absent::Are(defaults), Kind::List(inner, _) | Kind::OneOrList(inner, _)) => {
                defaults.iter().filter_map(|default| T::declared(inner, Some(default))).collect()
            }
            _ => Vec::new(),
        })
    }

    fn show(&self, section: &'static Section, key: &'static str, out: &mut Lines) {
        let declared = section.key(key);
        match &declared.kind {
            Kind::Tables(below, _) => self.iter().for_each(|it| {
                out.header(below.title);
                it.show_flat(out);
            }),
            Kind::Named(..) => self.iter().for_each(|it| it.show_flat(out)),
            _ if self.is_empty() => out.absent(declared),
            kind => out.line(key, list(self.iter().map(|it| it.show(kind.one())))),
        }
    }
}

/// A list on one line; one of several tables has a line for each.
pub(crate) fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.len() > 1 && items.iter().any(|item| item.starts_with('{')) {
        return format!("[\n  {},\n]", items.join(",\n  "));
    }
    format!("[{}]", items.join(", "))
}
