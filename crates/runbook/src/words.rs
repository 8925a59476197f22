//! An enum's words, each written once. strum derives them from the variants' names; what is here has the API, its
//! description, the database and metrics use just those.
//!
//! To give an enum its words: derive `strum::{EnumMessage, VariantArray, VariantNames}`, say
//! `#[strum(serialize_all = "…")]`, and name it to [`words`]. A word that an older version wrote is
//! `#[strum(to_string = "new", serialize = "old")]`: it is still read.

/// A word that no value of an enum has.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown {of} {word:?}")]
pub struct UnknownWord {
    of: &'static str,
    word: String,
}

impl UnknownWord {
    /// What was read where one of these was meant.
    pub fn new(of: &'static str, word: &str) -> Self {
        Self { of, word: word.chars().take(80).collect() }
    }
}

/// Lets enums be written and read by their words, everywhere. What it is called in errors and in the API's description
/// stands behind the name. Who calls it names serde, strum and utoipa among its own dependencies.
#[macro_export]
macro_rules! words {
    ($($name:ident: $of:literal;)+) => {$(
        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;
            /// Every value's word, in the same order.
            pub const WORDS: &'static [&'static str] = <Self as strum::VariantNames>::VARIANTS;

            /// The word in the API, the database and metrics.
            pub const fn as_str(self) -> &'static str {
                // Both lists are in the order of declaration, and no value has a number of its own.
                Self::WORDS[self as usize]
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::words::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let is_meant = |value: &&Self| strum::EnumMessage::get_serializations(*value).contains(&text);
                Self::ALL.iter().find(is_meant).copied().ok_or_else(|| $crate::words::UnknownWord::new($of, text))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .description(Some($of))
                    .enum_values(Some(Self::WORDS.iter().copied()))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    )+};
}

#[cfg(test)]
#[expect(unreachable_pub, reason = "what the macro writes is public elsewhere")]
mod tests {
    use serde_json::json;

    #[derive(Clone, Copy, Debug, PartialEq, strum::EnumMessage, strum::VariantArray, strum::VariantNames)]
    #[strum(serialize_all = "kebab-case")]
    enum Port {
        OneTwo,
        #[strum(to_string = "to-443", serialize = "to443")]
        To443,
    }

    crate::words! { Port: "port"; }

    #[test]
    fn a_word_is_the_same_everywhere() {
        assert_eq!((Port::WORDS, Port::ALL), (&["one-two", "to-443"][..], &[Port::OneTwo, Port::To443][..]));
        for (value, word) in Port::ALL.iter().zip(Port::WORDS) {
            assert_eq!((value.as_str(), value.to_string().as_str(), json!(value)), (*word, *word, json!(word)));
            assert_eq!((word.parse(), serde_json::from_value(json!(word)).ok()), (Ok(*value), Some(*value)));
        }
        let schema = serde_json::to_value(<Port as utoipa::PartialSchema>::schema()).unwrap();
        assert_eq!(schema, json!({"type": "string", "description": "port", "enum": ["one-two", "to-443"]}));
    }

    #[test]
    fn what_was_written_before_is_read_and_nothing_else() {
        assert_eq!("to443".parse(), Ok(Port::To443));
        for text in ["To443", "to-443 ", "", "two"] {
            let error = text.parse::<Port>().unwrap_err();
            assert_eq!(error.to_string(), format!("unknown port {text:?}"));
        }
        assert!(serde_json::from_value::<Port>(json!(443)).is_err());
    }
}
