//! How dumps are cut.

/// How dumps are cut.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// The length of a part of a multipart upload in bytes; S3 wants 5 MiB and more, all but the last alike.
    /// A stream that is written costs three of them in memory.
    pub part: usize,
    /// The stored length, in bytes, after which a stream goes on in another object. S3 takes 10,000 parts.
    pub segment: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { part: 5 << 20, segment: 48 << 30 }
    }
}
