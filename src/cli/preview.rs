//! `antihate preview`: the product in one process, for looking at it.

use super::payload::PayloadArg;
use super::{Context, up};
use crate::payload;
use crate::preview::Preview;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// Observes, classifies and shows posts in one process, without root and without Kubernetes; keeps nothing.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  antihate preview\n  antihate preview --feed https://example.org/feed.xml --model models/text")]
pub struct PreviewCmd {
    /// A feed to read instead of the sample site.
    #[arg(long, value_name = "URL")]
    feed: Option<url::Url>,
    /// Folder of the model; without it, the one that this file carries.
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Posts a second of the sample site.
    #[arg(long, default_value_t = 2.0)]
    rate: f64,
    /// Where the page listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    page: SocketAddr,
    /// Folder for certificate and PIN; without it, one of your own below the system's temporary folder.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    payload: PayloadArg,
}

impl PreviewCmd {
    /// Runs until Ctrl-C.
    pub fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        crate::telemetry::init(context.json);
        let own = || std::env::temp_dir().join(format!("antihate-preview-{}", nix::unistd::geteuid()));
        let data = std::path::absolute(self.data.clone().unwrap_or_else(own))?;
        std::fs::create_dir_all(&data)?;
        let model = match &self.model {
            Some(model) => model.clone(),
            None => self.carried_model(context, &data)?,
        };
        let preview = Preview { data, model, feed: self.feed, rate: self.rate, page: self.page };
        super::block_on(serve(preview, context.json))??;
        Ok(ExitCode::SUCCESS)
    }

    /// The model of this file, unpacked.
    fn carried_model(&self, context: &Context, data: &Path) -> anyhow::Result<PathBuf> {
        let payload = self.payload.open(context, data)?;
        let space = |path: &Path| fs2::available_space(path);
        payload::unpack_models(&payload, data, &space).map_err(|e| e.problem())?;
        Ok(data.join("models/text"))
    }
}

async fn serve(preview: Preview, json: bool) -> Result<(), crate::status::Problem> {
    let stop = CancellationToken::new();
    let mut talk = crate::task::Tasks::new(CancellationToken::new());
    let asked = stop.clone();
    talk.start("signals", async move {
        up::asked_to_stop().await.map_err(|e| e.to_string())?;
        asked.cancel();
        up::asked_to_stop().await.map_err(|e| e.to_string())?;
        std::process::exit(130)
    });
    let result = preview.run(stop, move |i| up::invite(i, json)).await;
    talk.shutdown(std::time::Duration::from_millis(50)).await;
    result
}
