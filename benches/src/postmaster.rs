//! Stops and starts the server, which must be one of this machine.

use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Result;
use crate::server::Server;

/// The directories of the server's programs and data, and the user that runs it.
pub struct Postmaster {
    program: PathBuf,
    data: PathBuf,
    user: (u32, u32),
}

impl Postmaster {
    pub async fn of(server: &Server) -> Result<Postmaster> {
        let query = "select setting, current_setting('data_directory') from pg_config where name = 'BINDIR'";
        let row = server.outside.query_one(query, &[]).await?;
        let (bin, data) = (PathBuf::from(row.get::<_, &str>(0)), PathBuf::from(row.get::<_, &str>(1)));
        let owner = std::fs::metadata(&data).map_err(|error| format!("{}: {error}", data.display()))?;
        Ok(Postmaster { program: bin.join("pg_ctl"), data, user: (owner.uid(), owner.gid()) })
    }

    /// As `pg_ctl stop` does by itself: sessions are ended, and a checkpoint is written.
    pub fn stop(&self) -> Result<()> {
        self.control(&["stop", "-w", "-m", "fast"])
    }

    /// Returns at once.
    pub fn start(&self) -> Result<()> {
        let log = self.data.join("log");
        self.control(&["start", "-W", "-l", &log.to_string_lossy()])
    }

    fn control(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("-s").arg("-D").arg(&self.data).current_dir("/").stdout(Stdio::null());
        // Only root can change the user, and has to.
        if std::fs::metadata("/proc/self")?.uid() == 0 {
            command.uid(self.user.0).gid(self.user.1);
        }
        let status = command.status()?;
        if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
    }
}
