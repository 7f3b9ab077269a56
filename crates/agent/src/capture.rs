//! A script's output, read to its end and kept up to a cap.

use std::borrow::Cow;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of standard output that travel.
pub(crate) const STDOUT_CAP: usize = 64 * 1024;
/// Bytes of standard error that travel.
pub(crate) const STDERR_CAP: usize = 8 * 1024;

/// The longest character in UTF-8: with so much more than the cap, no character at the cut looks broken.
const MARGIN: usize = 4;

/// One stream. Reading may be given up at any time; what came until then is there.
pub(crate) struct Capture<R> {
    stream: Option<R>,
    cap: usize,
    kept: Vec<u8>,
    is_over: bool,
}

impl<R: AsyncRead + Unpin> Capture<R> {
    pub(crate) fn new(stream: Option<R>, cap: usize) -> Self {
        Self {
            stream,
            cap,
            kept: Vec::new(),
            is_over: false,
        }
    }

    /// Reads until the last writer has closed its end. What is beyond the cap is thrown away, but read: a full pipe
    /// would hold the script, and its exit code is what counts.
    pub(crate) async fn read_to_end(&mut self) {
        let Some(stream) = &mut self.stream else {
            return;
        };
        let mut chunk = vec![0; 16 * 1024];
        // A pipe that cannot be read has ended, as far as we are concerned.
        while let Ok(length @ 1..) = stream.read(&mut chunk).await {
            let room = self.cap + MARGIN - self.kept.len();
            self.kept.extend_from_slice(&chunk[..length.min(room)]);
            self.is_over |= length > room;
        }
    }

    /// What was kept as text, trimmed and cut at a character, and whether something is missing.
    pub(crate) fn into_text(self) -> (String, bool) {
        let text = String::from_utf8_lossy(&self.kept);
        let text = if text.contains('\0') {
            Cow::Owned(text.replace('\0', "\u{fffd}"))
        } else {
            text
        };
        let text = text.trim();
        let cut = text.floor_char_boundary(self.cap);
        (
            text[..cut].trim_end().to_owned(),
            self.is_over || cut < text.len(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(bytes: &[u8], cap: usize, expected: &str, is_cut: bool) {
        let mut capture = Capture::new(Some(bytes), cap);
        capture.read_to_end().await;
        assert_eq!(
            capture.into_text(),
            (expected.to_owned(), is_cut),
            "{bytes:?}"
        );
    }

    #[tokio::test]
    async fn texts() {
        check(b"", 8, "", false).await;
        check(b"  OK - fine\n\n", 20, "OK - fine", false).await;
        check(b"12345678\n", 8, "12345678", false).await;
        check(b"123456789", 8, "12345678", true).await;
        check(b"a\0b", 8, "a\u{fffd}b", false).await;
        check(b"a\xff\xfeb", 8, "a\u{fffd}\u{fffd}b", false).await;
        check(b"ab\xff\xfe\xfd", 8, "ab\u{fffd}\u{fffd}", true).await;
        check("abcdefé".as_bytes(), 8, "abcdefé", false).await;
        check("abcdefgé".as_bytes(), 8, "abcdefg", true).await;
        check(&[b'x'; 100_000], 8, "xxxxxxxx", true).await;
    }
}
