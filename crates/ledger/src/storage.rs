//! What DynamoDB holds: items, their sizes, and numbers in their canonical form.

pub mod item;
pub mod number;
