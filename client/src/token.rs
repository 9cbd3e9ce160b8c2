//! Where a device's token is kept: the keyring of the operating system, or a file that only this user can read where there
//! is none (design section 8).

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use circles_protocol::DeviceId;

use crate::{error::ClientError, limits::KEYRING_TIMEOUT, view::TokenPlace};

/// The name under which the keyring lists the tokens.
const SERVICE: &str = "Circles";

/// Keeps tokens, one for each device id.
#[derive(Clone, Debug)]
pub struct Tokens {
    dir: PathBuf,
    keyring: bool,
}

impl Tokens {
    /// In the keyring if `keyring` and if there is one; else under `data_dir`.
    pub fn new(data_dir: &Path, keyring: bool) -> Self {
        Self { dir: data_dir.join("tokens"), keyring }
    }

    /// A new token: 256 random bits as 64 of `0-9a-f`.
    pub fn make() -> String {
        let [high, low] = [rand::random::<u128>(), rand::random::<u128>()];
        format!("{high:032x}{low:032x}")
    }

    /// Keeps the token of a device and says where.
    pub async fn keep(&self, device: DeviceId, token: String) -> Result<TokenPlace, ClientError> {
        if self.keyring {
            let secret = token.clone();
            match ask(move || entry(device)?.set_password(&secret).map_err(|error| error.to_string())).await {
                Ok(()) => return Ok(TokenPlace::Keyring),
                Err(reason) => tracing::info!(%reason, "no keyring: the token is kept in a file"),
            }
        }
        write_private(&self.file(device), &token).map_err(|error| ClientError::Token(error.to_string()))?;
        Ok(TokenPlace::File)
    }

    /// The token of a device, and where it is kept.
    pub async fn find(&self, device: DeviceId) -> Result<(String, TokenPlace), ClientError> {
        match fs::read_to_string(self.file(device)) {
            Ok(token) => return Ok((token, TokenPlace::File)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(ClientError::Token(error.to_string())),
        }
        if !self.keyring {
            return Err(ClientError::Token("it is not in its file".to_owned()));
        }
        ask(move || entry(device)?.get_password().map_err(|error| error.to_string()))
            .await
            .map(|token| (token, TokenPlace::Keyring))
            .map_err(ClientError::Token)
    }

    /// Forgets the token of a device.
    pub async fn forget(&self, device: DeviceId) -> Result<(), ClientError> {
        match fs::remove_file(self.file(device)) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(ClientError::Token(error.to_string())),
        }
        if self.keyring {
            ask(move || entry(device)?.delete_credential().map_err(|error| error.to_string()))
                .await
                .map_err(ClientError::Token)?;
        }
        Ok(())
    }

    fn file(&self, device: DeviceId) -> PathBuf {
        self.dir.join(device.to_string())
    }
}

fn entry(device: DeviceId) -> Result<keyring::Entry, String> {
    keyring::Entry::new(SERVICE, &device.to_string()).map_err(|error| error.to_string())
}

/// Asks the keyring on a thread of its own, for a bounded time: without a session bus some never answer.
async fn ask<T: Send + 'static>(question: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("keyring".to_owned())
        // Whoever asked may have given up waiting.
        .spawn(move || drop(tell.send(question())))
        .map_err(|error| error.to_string())?;
    match tokio::time::timeout(KEYRING_TIMEOUT, told).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err("the keyring failed".to_owned()),
        Err(_) => Err("the keyring does not answer".to_owned()),
    }
}

fn write_private(path: &Path, token: &str) -> io::Result<()> {
    let dir = path.parent().expect("a token's file is in a directory");
    fs::create_dir_all(dir)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(token.as_bytes())?;
    file.sync_all()?;
    fs::File::open(dir)?.sync_all()
}
