//! A directory that keeps a local cloud between runs: the database file and a snapshot of the modelled state.
//!
//! A snapshot may be older than the database when the process was killed. Messages and stream records are then delivered
//! again, which is what SQS and Lambda promise anyway.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use crate::{services::Services, state::State};

/// Least time between two snapshots.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(1);

/// A data directory that no other process uses.
pub(crate) struct DataDirectory {
    path: PathBuf,
    // Held for its lock, which ends with the process.
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirectoryError {
    #[error("cannot write to the data directory {}: choose another with --data-dir", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("the data directory {} is in use by another local cloud: stop it or choose another with --data-dir", path.display())]
    InUse { path: PathBuf },
    #[error("the snapshot {} cannot be read: move it away to start without it", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("the snapshot {} was written by another version: move the data directory away to start anew", path.display())]
    OtherVersion { path: PathBuf, source: serde_json::Error },
    #[error("the snapshot cannot be written")]
    Unserializable(#[source] serde_json::Error),
}

impl DataDirectory {
    /// Makes the directory if need be and locks it.
    ///
    /// # Errors
    ///
    /// It cannot be made or written, or another process has locked it.
    pub(crate) fn open(path: &Path) -> Result<Self, DataDirectoryError> {
        let unwritable = |source| DataDirectoryError::Unwritable { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(unwritable)?;
        let lock = File::create(path.join("lock")).map_err(unwritable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirectoryError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(unwritable(source)),
        }
    }

    /// Where the database is.
    pub(crate) fn database_file(&self) -> PathBuf {
        self.path.join("dynamodb.sqlite")
    }

    /// Reads the snapshot, if there is one. What ran when it was written has died since.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or does not hold a state of this version.
    pub(crate) fn load(&self) -> Result<Option<State>, DataDirectoryError> {
        let path = self.snapshot_file();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(DataDirectoryError::Unreadable { path, source }),
        };
        let mut state: State =
            serde_json::from_slice(&bytes).map_err(|source| DataDirectoryError::OtherVersion { path, source })?;
        state.queue_mapping.forget_invocations();
        state.stream_mapping.forget_invocations();
        Ok(Some(state))
    }

    /// Removes the snapshot, if there is one.
    ///
    /// # Errors
    ///
    /// The file cannot be removed.
    pub(crate) fn forget(&self) -> Result<(), DataDirectoryError> {
        match fs::remove_file(self.snapshot_file()) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(DataDirectoryError::Unwritable { path: self.path.clone(), source })
            }
            _ => Ok(()),
        }
    }

    /// Writes a snapshot: whole or not at all.
    ///
    /// # Errors
    ///
    /// The file cannot be written; the previous one is then still there.
    pub(crate) fn save(&self, state: &State) -> Result<(), DataDirectoryError> {
        let bytes = serde_json::to_vec(state).map_err(DataDirectoryError::Unserializable)?;
        let unwritable = |source| DataDirectoryError::Unwritable { path: self.path.clone(), source };
        let unfinished = self.path.join("state.json.unfinished");
        let mut file = File::create(&unfinished).map_err(unwritable)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(unwritable)?;
        fs::rename(&unfinished, self.snapshot_file()).map_err(unwritable)
    }

    fn snapshot_file(&self) -> PathBuf {
        self.path.join("state.json")
    }
}

/// Writes a snapshot whenever the state has changed, at most once per interval, until `closing`.
pub(crate) async fn keep_snapshots(services: Arc<Services>, directory: Arc<DataDirectory>, closing: CancellationToken) {
    let mut changes = services.shared.changes();
    while closing.run_until_cancelled(changes.changed()).await.is_some() {
        let state = services.shared.look(|state, _| state.clone());
        let directory = directory.clone();
        match tokio::task::spawn_blocking(move || directory.save(&state)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the snapshot was not written"),
            Err(error) => tracing::error!(%error, "writing the snapshot panicked"),
        }
        closing.run_until_cancelled(tokio::time::sleep(SNAPSHOT_INTERVAL)).await;
    }
}
