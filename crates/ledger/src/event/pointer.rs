//! JSON Pointers (RFC 6901), bounded.

/// Bytes of one pointer as stored; longer ones are cut at a token.
pub const POINTER_BYTES_MAX: usize = 256;

/// Appends one reference token to a JSON Pointer (RFC 6901), or `…` where it would grow beyond its bound.
pub fn push_token(pointer: &mut String, token: &str) {
    const ELLIPSIS: &str = "/…";
    if pointer.ends_with(ELLIPSIS) {
        return;
    }
    let token = token.replace('~', "~0").replace('/', "~1");
    if pointer.len() + 1 + token.len() > POINTER_BYTES_MAX - ELLIPSIS.len() {
        pointer.push_str(ELLIPSIS);
        return;
    }
    pointer.push('/');
    pointer.push_str(&token);
}

/// Reads one reference token back.
pub fn unescape_token(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}
