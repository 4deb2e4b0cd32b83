//! Blobs in S3.

use std::sync::Arc;

use minigram::clock::Clock;
use minigram::ports::blobs::Blobs;

use super::prefix;
use crate::subject::Subject;
use crate::support::Shared;
use crate::support::s3::S3;

blobs_contract!(blobs, crate::real::s3::start_blobs);

async fn start_blobs() -> Subject<dyn Blobs> {
    static SERVER: Shared<S3> = Shared::new();
    let server = SERVER.get(S3::start);
    let blobs = minigram::real::s3::connect(&server.bucket(&prefix())).unwrap();
    Subject::new(Arc::new(blobs), Clock::System, server)
}
