//! The size of an attribute's value as DynamoDB counts it, taken while the value is passed over.

use std::fmt;

use ledger::{
    item::{CONTAINER_BYTES, ELEMENT_BYTES},
    number,
};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// Size of an attribute's value as `ledger::item` counts it, taken without keeping the value.
#[derive(Clone, Copy, Default)]
pub(super) struct AttributeBytes(pub usize);

/// Size of a text, of the members of a map, and of the elements of a list.
struct TextBytes(usize);
struct NumberBytes(usize);
struct BinaryBytes(usize);
struct MapBytes(usize);
struct ListBytes(usize);

impl<'de> Deserialize<'de> for AttributeBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Attribute;
        impl<'de> Visitor<'de> for Attribute {
            type Value = AttributeBytes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an attribute value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<AttributeBytes, A::Error> {
                let mut bytes = 0;
                while let Some(kind) = members.next_key::<AttributeKind>()? {
                    bytes += match kind {
                        AttributeKind::S => members.next_value::<TextBytes>()?.0,
                        AttributeKind::N => members.next_value::<NumberBytes>()?.0,
                        AttributeKind::B => members.next_value::<BinaryBytes>()?.0,
                        AttributeKind::M => members.next_value::<MapBytes>()?.0,
                        AttributeKind::L => members.next_value::<ListBytes>()?.0,
                        AttributeKind::Flag => members.next_value::<IgnoredAny>().map(|_| 1)?,
                        AttributeKind::Other => members.next_value::<IgnoredAny>().map(|_| 0)?,
                    };
                }
                Ok(AttributeBytes(bytes))
            }
        }
        deserializer.deserialize_map(Attribute)
    }
}

#[derive(Deserialize)]
enum AttributeKind {
    S,
    N,
    B,
    M,
    L,
    #[serde(rename = "BOOL", alias = "NULL")]
    Flag,
    /// Sets, which nothing of ours writes.
    #[serde(other)]
    Other,
}

/// Implements `Deserialize` for the size of a text by a function of it.
macro_rules! bytes_of_text {
    ($size:ident, $bytes:expr) => {
        impl<'de> Deserialize<'de> for $size {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Measure;
                impl Visitor<'_> for Measure {
                    type Value = $size;

                    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                        formatter.write_str("a text")
                    }

                    fn visit_str<E>(self, text: &str) -> Result<$size, E> {
                        let bytes: fn(&str) -> usize = $bytes;
                        Ok($size(bytes(text)))
                    }
                }
                deserializer.deserialize_str(Measure)
            }
        }
    };
}

bytes_of_text!(TextBytes, str::len);
bytes_of_text!(NumberBytes, number::stored_bytes);
// Base64, with its padding: four characters for three bytes.
bytes_of_text!(BinaryBytes, |text| text.trim_end_matches('=').len() * 3 / 4);

impl<'de> Deserialize<'de> for MapBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = MapBytes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map of attribute values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<MapBytes, A::Error> {
                let mut bytes = CONTAINER_BYTES;
                while let Some((TextBytes(name), AttributeBytes(value))) = members.next_entry()? {
                    bytes += name + value + ELEMENT_BYTES;
                }
                Ok(MapBytes(bytes))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl<'de> Deserialize<'de> for ListBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = ListBytes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of attribute values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<ListBytes, A::Error> {
                let mut bytes = CONTAINER_BYTES;
                while let Some(AttributeBytes(value)) = elements.next_element()? {
                    bytes += value + ELEMENT_BYTES;
                }
                Ok(ListBytes(bytes))
            }
        }
        deserializer.deserialize_seq(Elements)
    }
}
