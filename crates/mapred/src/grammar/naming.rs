//! Names of the objects that a query writes, made of texts and `$name`, `$id`, `$num`.

use std::fmt::Write as _;

/// A name with places to be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Naming(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The query's `name`.
    Name,
    /// The query's id.
    Id,
    /// The number of the shard.
    Num,
}

impl Naming {
    /// Reads a name. `$$` stands for `$`, and `${name}` for `$name` where letters follow.
    ///
    /// # Errors
    /// What follows a `$` and is none of these.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            push(&mut parts, before);
            if let Some(after) = after.strip_prefix('$') {
                push(&mut parts, "$");
                rest = after;
                continue;
            }
            let (word, after) = match after.strip_prefix('{') {
                Some(braced) => braced.split_once('}').ok_or_else(|| format!("${after}"))?,
                None => {
                    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
                    after.split_at(after.find(|c| !letter(c)).unwrap_or(after.len()))
                }
            };
            parts.push(match word {
                "name" => Part::Name,
                "id" => Part::Id,
                "num" => Part::Num,
                _ => return Err(format!("${word}")),
            });
            rest = after;
        }
        push(&mut parts, rest);
        Ok(Self(parts))
    }

    /// Whether objects of several shards get different names.
    pub(crate) fn tells_shards(&self) -> bool {
        self.0.contains(&Part::Num)
    }

    /// The name for a shard of a query.
    pub(crate) fn fill(&self, name: &str, id: &str, shard: u32) -> String {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Name => filled.push_str(name),
                Part::Id => filled.push_str(id),
                Part::Num => {
                    // Writing to a String cannot fail.
                    let _ = write!(filled, "{shard}");
                }
            }
        }
        filled
    }
}

fn push(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(before)) => before.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        assert_eq!(Naming::parse(text).unwrap().fill("ages", "b-7", 12), expect);
    }

    #[test]
    fn places_are_filled_in() {
        check("deduped", "deduped");
        check("$name/$id/output-$num", "ages/b-7/output-12");
        check("${name}s$$", "agess$");
        check("$num.$num", "12.12");
        check("é$id", "éb-7");
        assert!(Naming::parse("$num").unwrap().tells_shards());
        assert!(!Naming::parse("$$num").unwrap().tells_shards());
    }

    #[test]
    fn unknown_places_are_named() {
        for (text, expect) in
            [("x-$foo", "$foo"), ("$names", "$names"), ("a$", "$"), ("${id", "${id"), ("${}", "$")]
        {
            assert_eq!(Naming::parse(text), Err(expect.to_owned()), "{text}");
        }
    }
}
