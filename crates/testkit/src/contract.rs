//! The contract, case by case. Each case runs on the tables in memory and on a real implementation of DynamoDB alike.

pub mod projections;
pub mod tables;

/// Makes a function of each case, and a macro that hands the names of all cases to another one, which makes tests of
/// them.
macro_rules! cases {
    (
        $d:tt $for_each:ident, $subject:ident: $bound:ident => $bench:expr;
        $($(#[$attribute:meta])* async fn $name:ident($parameter:ident) $body:block)*
    ) => {
        $($(#[$attribute])* pub async fn $name($subject: &impl $bound) {
            let $parameter = $bench;
            $body
        })*

        #[macro_export]
        macro_rules! $for_each {
            ($d make:ident) => { $d make! { $($name)* } };
        }
    };
}
use cases;
