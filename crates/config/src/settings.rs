//! What single values of the file become: numbers, durations, texts, addresses. One implementation a type.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use evenkeel_types::{Address, ListenerName, PoolName, RouteName};
use ipnet::IpNet;

use crate::declare::{Field, Setting};
use crate::keys::{Kind, Section};
use crate::read::text::{self, Read};
use crate::read::{Home, Table, Value};
use crate::show::{Lines, name, quote};
use crate::value::{Rate, duration_ms, percent, show_duration, show_rate, show_size, size};

macro_rules! numbers {
    ($($type:ty),+) => {$(
        impl Setting for $type {
            fn read(value: &Value<'_>) -> Option<Self> {
                Self::try_from(value.number()?).ok()
            }

            /// Without a declared default: 0, where [`Rules::finish`](crate::declare::Rules::finish) fills it in.
            fn declared(kind: &'static Kind, default: Option<&'static str>) -> Option<Self> {
                let Some(text) = default else { return Some(0) };
                let number = match kind {
                    Kind::Size(..) | Kind::SizeOrOff(..) => size(text),
                    Kind::Percent(..) => percent(text),
                    _ => text.parse().ok(),
                };
                Self::try_from(number?).ok()
            }

            fn show(&self, kind: &'static Kind) -> String {
                match kind {
                    Kind::Size(..) | Kind::SizeOrOff(..) => {
                        quote(&show_size(u64::try_from(*self).unwrap_or(u64::MAX)))
                    }
                    Kind::Percent(..) => quote(&format!("{self}%")),
                    _ => self.to_string(),
                }
            }
        }
    )+};
}

numbers!(u8, u16, u32, u64, usize);

impl Setting for f64 {
    fn read(value: &Value<'_>) -> Option<Self> {
        value.decimal()
    }

    fn declared(_: &'static Kind, default: Option<&'static str>) -> Option<Self> {
        default?.parse().ok()
    }

    fn show(&self, _: &'static Kind) -> String {
        // `{:?}` writes a fraction even where it is zero.
        format!("{self:?}")
    }
}

impl Setting for bool {
    fn read(value: &Value<'_>) -> Option<Self> {
        match value.kind {
            Kind::TrueOrFalse(yes, _) => value.word().map(|word| word == *yes),
            _ => value.boolean(),
        }
    }

    fn declared(kind: &'static Kind, default: Option<&'static str>) -> Option<Self> {
        match kind {
            Kind::TrueOrFalse(yes, _) => default.map(|word| word == *yes),
            _ => default.map(|word| word == "true"),
        }
    }

    fn show(&self, kind: &'static Kind) -> String {
        match kind {
            Kind::TrueOrFalse(yes, no) => quote(if *self { yes } else { no }),
            _ => self.to_string(),
        }
    }

    /// A fact about the table that `Rules::finish` fills in.
    fn read_flat(_: &Table<'_>) -> Option<Self> {
        Some(false)
    }
}

impl Setting for Duration {
    fn read(value: &Value<'_>) -> Option<Self> {
        value.duration()
    }

    /// Without a declared default: zero, where [`Rules::finish`](crate::declare::Rules::finish) fills it in.
    fn declared(_: &'static Kind, default: Option<&'static str>) -> Option<Self> {
        default.map_or(Some(0), duration_ms).map(Duration::from_millis)
    }

    fn show(&self, _: &'static Kind) -> String {
        quote(&show_duration(*self))
    }
}

impl Setting for Rate {
    fn read(value: &Value<'_>) -> Option<Self> {
        value.rate()
    }

    fn declared(_: &'static Kind, default: Option<&'static str>) -> Option<Self> {
        crate::value::rate(default?)
    }

    fn show(&self, _: &'static Kind) -> String {
        quote(&show_rate(*self))
    }
}

impl Setting for String {
    fn read(value: &Value<'_>) -> Option<Self> {
        value.formed()
    }

    fn declared(_: &'static Kind, default: Option<&'static str>) -> Option<Self> {
        Some(default.unwrap_or_default().to_owned())
    }

    fn show(&self, _: &'static Kind) -> String {
        quote(self)
    }
}

impl Setting for Address {
    fn read(value: &Value<'_>) -> Option<Self> {
        let address = value.address()?;
        if let Home::Listener(name) = value.home {
            value.reader.links().binds.push((address.clone(), value.span.clone(), name.into()));
        }
        Some(address)
    }

    fn declared(kind: &'static Kind, default: Option<&'static str>) -> Option<Self> {
        let (Kind::Address(_, form) | Kind::AddressOrOff(_, form)) = kind else { return None };
        form(default?).ok()
    }

    fn show(&self, _: &'static Kind) -> String {
        quote(&self.to_string())
    }
}

/// A text of a form of its own.
pub(crate) trait Text: Sized {
    /// Reads it, or says what is wrong and what to write.
    fn form(text: &str) -> Read<Self>;

    /// As it is written.
    fn written(&self) -> String;
}

/// Makes a text of a form of its own what one key is.
macro_rules! text_settings {
    ($($name:ident),+) => {$(
        impl $crate::declare::Setting for $name {
            fn read(value: &$crate::read::Value<'_>) -> Option<Self> {
                value.read(<Self as $crate::settings::Text>::form)
            }

            fn declared(_: &'static $crate::keys::Kind, default: Option<&'static str>) -> Option<Self> {
                <Self as $crate::settings::Text>::form(default?).ok()
            }

            fn show(&self, _: &'static $crate::keys::Kind) -> String {
                $crate::show::quote(&$crate::settings::Text::written(self))
            }
        }
    )+};
}

pub(crate) use text_settings;

text_settings!(IpNet, IpAddr);

impl Text for IpNet {
    fn form(text: &str) -> Read<Self> {
        text::network(text)
    }

    fn written(&self) -> String {
        self.to_string()
    }
}

impl Text for IpAddr {
    fn form(text: &str) -> Read<Self> {
        text::ip_address(text)
    }

    fn written(&self) -> String {
        self.to_string()
    }
}

/// A file, relative to the folder of the configuration file unless it is absolute.
impl Setting for PathBuf {
    fn read(value: &Value<'_>) -> Option<Self> {
        value.file()
    }

    fn declared(_: &'static Kind, default: Option<&'static str>) -> Option<Self> {
        default.map(Self::from)
    }

    fn show(&self, _: &'static Kind) -> String {
        quote(&self.to_string_lossy())
    }
}

macro_rules! names {
    ($($type:ty: $uses:ident),+) => {$(
        /// A name that must exist, which is checked once all is read.
        impl Setting for $type {
            fn read(value: &Value<'_>) -> Option<Self> {
                let name = value.name()?;
                value.reader.links().$uses.push((name.into(), value.span.clone()));
                Some(name.into())
            }

            fn declared(_: &'static Kind, default: Option<&'static str>) -> Option<Self> {
                default.map(Self::from)
            }

            fn show(&self, _: &'static Kind) -> String {
                quote(self.as_str())
            }
        }
    )+};
}

names!(PoolName: pool_uses, ListenerName: listener_uses);

/// Empty where the route has no name of its own, until all routes are read.
impl Setting for RouteName {
    fn read(value: &Value<'_>) -> Option<Self> {
        value.name().map(Self::from)
    }

    fn declared(_: &'static Kind, default: Option<&'static str>) -> Option<Self> {
        Some(default.unwrap_or_default().into())
    }

    fn show(&self, _: &'static Kind) -> String {
        quote(self.as_str())
    }
}

/// Header fields and query parameters; no name stands twice.
impl Field for Vec<(String, String)> {
    fn read(table: &Table<'_>, key: &'static str) -> Option<Self> {
        let value = table.value(key);
        Some(
            value
                .map(|value| value.fields())
                .unwrap_or_default()
                .into_iter()
                .map(|(field, _)| field)
                .collect(),
        )
    }

    fn show(&self, section: &'static Section, key: &'static str, out: &mut Lines) {
        if self.is_empty() {
            return out.absent(section.key(key));
        }
        let pairs = self.iter().map(|(key, value)| format!("{} = {}", name(key), quote(value)));
        out.line(key, format_args!("{{ {} }}", pairs.collect::<Vec<_>>().join(", ")));
    }
}
