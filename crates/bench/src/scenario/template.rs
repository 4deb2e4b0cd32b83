//! Texts with `{name}` in them, and the values that stand there.

/// What may stand in place of a `{name}`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Values {
    pub(super) name: String,
    pub(super) source: Source,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    /// One of these.
    List(Vec<String>),
    /// A whole number from the first to the last, both included.
    Range(i64, i64),
}

impl Source {
    fn draw(&self, random: &mut impl FnMut(u64) -> u64) -> String {
        match self {
            Self::List(values) => values[random(values.len() as u64) as usize].clone(),
            Self::Range(from, to) => {
                let width = to.abs_diff(*from).saturating_add(1);
                from.wrapping_add_unsigned(random(width)).to_string()
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    /// The number of the values.
    Value(usize),
}

/// A text with places to fill in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template(Vec<Part>);

impl Template {
    /// A text in which nothing is filled in.
    pub(super) fn fixed(text: &str) -> Self {
        Self(vec![Part::Text(text.to_owned())])
    }

    /// Reads a text in which `{name}` stands for one of the values of that name. Braces around anything but letters,
    /// digits, `_` and `-` are text, as in JSON.
    ///
    /// # Errors
    /// The first name without values, and where it stands in the text.
    pub(super) fn parse(text: &str, values: &[Values]) -> Result<Self, (String, usize)> {
        let mut parts = Vec::new();
        let (mut done, mut from) = (0, 0);
        while let Some(open) = text[from..].find('{').map(|at| from + at) {
            from = open + 1;
            let Some(close) = text[from..].find('}').map(|at| from + at) else { break };
            let name = &text[from..close];
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || !name.chars().all(is_name) {
                continue;
            }
            let Some(value) = values.iter().position(|values| values.name == name) else {
                return Err((name.to_owned(), open));
            };
            parts.push(Part::Text(text[done..open].to_owned()));
            parts.push(Part::Value(value));
            done = close + 1;
            from = done;
        }
        parts.push(Part::Text(text[done..].to_owned()));
        Ok(Self(parts))
    }

    /// The text with values in place. `drawn` keeps those of one request.
    pub(super) fn fill(
        &self,
        values: &[Values],
        drawn: &mut [Option<String>],
        random: &mut impl FnMut(u64) -> u64,
    ) -> String {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Value(at) => {
                    let value = drawn[*at].get_or_insert_with(|| values[*at].source.draw(random));
                    text.push_str(value);
                }
            }
        }
        text
    }

    /// The numbers of the values that stand in it.
    pub(super) fn used(&self) -> impl Iterator<Item = usize> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Value(at) => Some(*at),
        })
    }

    /// The text with this for each value.
    pub(super) fn filled_with(&self, value: &str) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Value(_) => value.to_owned(),
        };
        self.0.iter().map(part).collect()
    }
}
