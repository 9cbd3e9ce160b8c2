//! nchan, nginx's module for publishing and subscribing: of the servers of its kind one of the cheapest. It holds messages in
//! memory only.

use std::{
    fs,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use anyhow::{Context, Result};
use circles_tests::processes;

use super::work::{Served, text};

/// An nginx with one worker, on the core that relays have.
pub struct Nchan {
    child: Child,
    worker: u32,
    pub port: u16,
    http: reqwest::Client,
    _dir: tempfile::TempDir,
}

impl Nchan {
    /// Starts one.
    pub async fn start() -> Result<Arc<Self>> {
        let dir = tempfile::tempdir()?;
        let port = circles_tests::port()?;
        let place = dir.path().display();
        fs::write(
            dir.path().join("nginx.conf"),
            format!(
                "load_module /usr/lib/nginx/modules/ngx_nchan_module.so;
                daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid {place}/pid; error_log {place}/log;
                events {{ worker_connections 16384; }}
                http {{
                    access_log off; tcp_nodelay on; keepalive_requests 1000000; keepalive_timeout 1h;
                    client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
                    uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
                    server {{
                        listen 127.0.0.1:{port} backlog=8192;
                        location ~ ^/publish/(.+)$ {{ nchan_publisher; nchan_channel_id $1; }}
                        location ~ ^/subscribe/(.+)$ {{
                            nchan_subscriber eventsource; nchan_channel_id $1; nchan_subscriber_first_message newest;
                        }}
                    }}
                }}"
            ),
        )?;
        let child = Command::new("taskset")
            .args(["--cpu-list", "0", "/usr/sbin/nginx", "-p"])
            .arg(dir.path())
            .arg("-c")
            .arg(dir.path().join("nginx.conf"))
            .stdout(Stdio::null())
            .spawn()?;
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(512).build()?;
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let mut nchan = Self { child, worker: 0, port, http, _dir: dir };
        nchan.worker = circles_tests::wait_for("nginx (nginx-light and libnginx-mod-nchan)", async || {
            let answers = nchan.http.get(format!("http://127.0.0.1:{port}/")).send().await.is_ok();
            Ok(answers.then_some(()).and(fs::read_to_string(&children).ok()))
        })
        .await?
        .split_whitespace()
        .next()
        .context("it has a worker")?
        .parse()?;
        Ok(Arc::new(nchan))
    }

    /// Where the messages of a channel come.
    pub fn stream(channel: usize) -> String {
        format!("/subscribe/{channel}")
    }
}

impl Served for Nchan {
    fn pid(&self) -> u32 {
        self.worker
    }

    async fn post(&self, turn: usize) -> Result<()> {
        let channel = turn % super::CIRCLES;
        let request = self.http.post(format!("http://127.0.0.1:{}/publish/{channel}", self.port));
        request.header("content-type", "text/plain").body(text()).send().await?.error_for_status()?;
        Ok(())
    }
}

impl Drop for Nchan {
    fn drop(&mut self) {
        // Asked to, it ends its worker too; killed, it would leave it behind.
        if let Err(error) = processes::signal(&[self.child.id()], "TERM") {
            eprintln!("nginx goes on: {error}");
            return;
        }
        drop(self.child.wait());
    }
}
