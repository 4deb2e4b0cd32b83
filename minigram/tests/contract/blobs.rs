//! The contract of the blobs.

macro_rules! blobs_contract {
    ($engine:ident, $start:path) => {
        mod $engine {
            use crate::blobs::cases;
            cases! { $start:
                a_blob_comes_back_whole_with_its_type,
                a_part_is_served_as_asked_for,
                a_blob_is_replaced_and_deleted,
                one_that_is_too_large_leaves_what_was_there,
                one_that_breaks_off_leaves_what_was_there,
                keys_that_differ_in_type_alone_are_two_blobs,
            }
        }
    };
}

pub mod cases {
    //! All cases by name.

    use bytes::Bytes;
    use futures_util::{StreamExt, TryStreamExt, stream};
    use minigram::media::MediaType;
    use minigram::ports::Source;
    use minigram::ports::blobs::{BlobKey, Blobs, BlobsError, Body, Part};

    use crate::subject::Subject;

    /// More than one piece, whatever the engine makes of it.
    const LARGE: usize = (11 << 20) + 7;
    const MAX: u64 = 32 << 20;

    fn key(name: &str) -> BlobKey {
        BlobKey::new(name, MediaType::Jpeg).unwrap()
    }

    fn content(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|n| u8::try_from(n * 31 % 251).unwrap()).collect()
    }

    /// Chunks as a socket yields them, and then an error if `broken`.
    fn body(content: &[u8], broken: bool) -> Body {
        let chunks = content.chunks(64 << 10).map(|chunk| Ok(Bytes::copy_from_slice(chunk)));
        let end = broken.then(|| Err(Source::from("connection reset")));
        stream::iter(chunks.chain(end).collect::<Vec<_>>()).boxed()
    }

    async fn read(blobs: &dyn Blobs, key: &BlobKey, part: Part) -> Result<(Vec<u8>, u64), BlobsError> {
        let blob = blobs.get(key, part).await?;
        assert_eq!(blob.media, key.media());
        let chunks: Vec<Bytes> = blob.body.try_collect().await.unwrap();
        let bytes = chunks.concat();
        assert_eq!(blob.range.end - blob.range.start, bytes.len() as u64);
        Ok((bytes, blob.size))
    }

    async fn whole(blobs: &dyn Blobs, key: &BlobKey) -> Vec<u8> {
        let (bytes, size) = read(blobs, key, Part::Whole).await.unwrap();
        assert_eq!(bytes.len() as u64, size);
        bytes
    }

    pub async fn a_blob_comes_back_whole_with_its_type(subject: Subject<dyn Blobs>) {
        let blobs = &*subject.port;
        for bytes in [0, 1, 1000, LARGE] {
            let (key, content) = (key(&format!("photos/{bytes}/original")), content(bytes));
            let size = blobs.put(&key, body(&content, false), MAX).await.unwrap();
            assert_eq!(size, bytes as u64);
            assert!(whole(blobs, &key).await == content, "{bytes} bytes differ");
        }
        let error = read(blobs, &key("photos/2/original"), Part::Whole).await.unwrap_err();
        assert!(matches!(error, BlobsError::NotFound), "{error}");
    }

    pub async fn a_part_is_served_as_asked_for(subject: Subject<dyn Blobs>) {
        let (blobs, key, content) = (&*subject.port, key("part"), content(1000));
        blobs.put(&key, body(&content, false), MAX).await.unwrap();
        let check = |part, range: std::ops::Range<usize>| {
            let (key, content) = (&key, &content);
            async move {
                let expected = (content[range].to_vec(), 1000);
                assert_eq!(read(blobs, key, part).await.unwrap(), expected, "{part:?}");
            }
        };
        check(Part::From(990), 990..1000).await;
        check(Part::Between(0, 0), 0..1).await;
        check(Part::Between(10, 19), 10..20).await;
        check(Part::Between(999, u64::MAX), 999..1000).await;
        check(Part::Last(5), 995..1000).await;
        check(Part::Last(5000), 0..1000).await;
        for part in [Part::From(1000), Part::Between(1000, 1001), Part::Between(5, 4), Part::Last(0)] {
            let error = read(blobs, &key, part).await.unwrap_err();
            assert!(matches!(error, BlobsError::OutOfRange(1000)), "{part:?}: {error}");
            let error = read(blobs, &self::key("absent"), part).await.unwrap_err();
            assert!(matches!(error, BlobsError::NotFound), "{part:?}: {error}");
        }
    }

    pub async fn a_blob_is_replaced_and_deleted(subject: Subject<dyn Blobs>) {
        let (blobs, key) = (&*subject.port, key("changing"));
        blobs.put(&key, body(b"first", false), MAX).await.unwrap();
        blobs.put(&key, body(b"second", false), MAX).await.unwrap();
        assert_eq!(whole(blobs, &key).await, b"second");
        for _ in 0..2 {
            blobs.delete(&key).await.unwrap();
            assert!(matches!(read(blobs, &key, Part::Whole).await, Err(BlobsError::NotFound)));
        }
    }

    pub async fn one_that_is_too_large_leaves_what_was_there(subject: Subject<dyn Blobs>) {
        let blobs = &*subject.port;
        for (bytes, max) in [(1001, 1000), (LARGE, LARGE as u64 - 1)] {
            let (old, new) = (key(&format!("old/{bytes}")), key(&format!("new/{bytes}")));
            blobs.put(&old, body(b"old", false), max).await.unwrap();
            for key in [&old, &new] {
                let error = blobs.put(key, body(&content(bytes), false), max).await.unwrap_err();
                assert!(matches!(error, BlobsError::TooLarge(limit) if limit == max), "{error}");
            }
            assert_eq!(whole(blobs, &old).await, b"old");
            assert!(matches!(read(blobs, &new, Part::Whole).await, Err(BlobsError::NotFound)));
        }
        let exact = content(1000);
        assert_eq!(blobs.put(&key("exact"), body(&exact, false), 1000).await.unwrap(), 1000);
    }

    pub async fn one_that_breaks_off_leaves_what_was_there(subject: Subject<dyn Blobs>) {
        let blobs = &*subject.port;
        for bytes in [0, 1000, LARGE] {
            let (old, new) = (key(&format!("old/{bytes}")), key(&format!("new/{bytes}")));
            blobs.put(&old, body(b"old", false), MAX).await.unwrap();
            for key in [&old, &new] {
                let error = blobs.put(key, body(&content(bytes), true), MAX).await.unwrap_err();
                assert!(matches!(error, BlobsError::BrokenOff(_)), "{error}");
            }
            assert_eq!(whole(blobs, &old).await, b"old");
            assert!(matches!(read(blobs, &new, Part::Whole).await, Err(BlobsError::NotFound)));
        }
    }

    pub async fn keys_that_differ_in_type_alone_are_two_blobs(subject: Subject<dyn Blobs>) {
        let blobs = &*subject.port;
        let (jpeg, webp) = (key("same"), BlobKey::new("same", MediaType::Webp).unwrap());
        blobs.put(&jpeg, body(b"jpeg", false), MAX).await.unwrap();
        blobs.put(&webp, body(b"webp", false), MAX).await.unwrap();
        blobs.delete(&jpeg).await.unwrap();
        assert_eq!(whole(blobs, &webp).await, b"webp");
    }
}
