//! What goes to PostgreSQL and back, watched for commits: a socket between a process and its server.
//!
//! Each commit is told of twice: when it is asked for and not done yet, and when it is done and not answered yet.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use simulators::tap::{Moment, Sighting, Then, Watcher};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

/// The code of a request for TLS.
const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();

/// Serves the name that clients look for in `folder`, on the runtime that this is called on, as long as that lasts.
pub(crate) fn watch(folder: &Path, server: &Path, watcher: Watcher) {
    let name = server.file_name().expect("a socket's name");
    let listener = UnixListener::bind(folder.join(name)).expect("a socket");
    let server = server.to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let Ok(server) = UnixStream::connect(&server).await else { continue };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let commits = Arc::new(AtomicBool::new(false));
            tokio::spawn(requests(from_client, to_server, watcher.clone(), Arc::clone(&commits)));
            tokio::spawn(answers(from_server, to_client, watcher.clone(), commits));
        }
    });
}

fn sighting(moment: Moment) -> Sighting {
    Sighting { upstream: "postgres", moment, request: "COMMIT".to_owned() }
}

/// Message by message; the first has no letter
/// (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).
async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, watcher: Watcher, commits: Arc<AtomicBool>) {
    let mut letter = false;
    loop {
        let mut head = vec![0; if letter { 5 } else { 4 }];
        if from.read_exact(&mut head).await.is_err() {
            return;
        }
        let at = usize::from(letter);
        let length = u32::from_be_bytes(head[at..].try_into().expect("four bytes"));
        let mut message = vec![0; (length as usize).saturating_sub(4)];
        if from.read_exact(&mut message).await.is_err() {
            return;
        }
        if letter && head[0] == b'Q' && message.starts_with(b"COMMIT") {
            if watcher(&sighting(Moment::RequestBegun)) == Then::Lose {
                return;
            }
            commits.store(true, Ordering::SeqCst);
        }
        // Who asks for TLS first begins again when the answer is no.
        letter |= message != SSL_REQUEST;
        if to.write_all(&head).await.is_err() || to.write_all(&message).await.is_err() {
            return;
        }
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, watcher: Watcher, commits: Arc<AtomicBool>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if commits.swap(false, Ordering::SeqCst) {
            watcher(&sighting(Moment::AnswerBegun));
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
