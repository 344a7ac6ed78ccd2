//! G11: the mark of payload values and undeclared names stands in no reason, alert, metric or message.

use super::super::recipe::MARKER;
use crate::clause::hold;

pub(super) fn check_no_value(what: &str, text: &str) {
    hold!(G11, !text.contains(MARKER), "{what} tells a value: {text}");
}
