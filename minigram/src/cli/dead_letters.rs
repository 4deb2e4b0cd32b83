//! `minigram dead-letters`: shows jobs that failed too often, and makes them ready again.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use minigram::clock::Clock;
use minigram::domain::jobs::TOPICS;
use minigram::ports::queue::DeadLetter;
use minigram::settings::Settings;
use minigram::workers::dead_letters;

/// Letters of a topic that are shown, unless the command says otherwise.
const LIMIT: u32 = 20;

/// Shows jobs that failed too often, or makes them ready again.
#[derive(Debug, clap::Args)]
pub struct DeadLetters {
    #[command(subcommand)]
    what: What,
    /// The settings of a server or worker, which say where the queue is.
    #[arg(long, global = true, value_name = "FILE", default_value = "minigram.toml")]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Shows them, oldest first, with the reason of the last failure.
    List {
        /// Only those of this topic.
        #[arg(long, value_parser = TOPICS)]
        topic: Option<String>,
        /// Letters of each topic, at most.
        #[arg(long, default_value_t = LIMIT)]
        limit: u32,
    },
    /// Makes them ready again, with all their attempts.
    Replay {
        /// The topic of the jobs.
        #[arg(value_parser = TOPICS)]
        topic: String,
        /// Those with these keys, as `list` shows them.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        keys: Vec<String>,
        /// All of the topic.
        #[arg(long)]
        all: bool,
    },
}

impl DeadLetters {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(self.answer())
    }

    async fn answer(self) -> anyhow::Result<ExitCode> {
        let settings = Settings::read(&self.config)?;
        let engines = settings.connect().await?;
        let queue = &*engines.queue;
        match self.what {
            What::List { topic, limit } => {
                let topics: Vec<&str> = topic.as_deref().map_or(TOPICS.to_vec(), |topic| vec![topic]);
                let letters = dead_letters::list(queue, &topics, limit).await?;
                letters.iter().for_each(show);
                if letters.is_empty() {
                    println!("there are no dead letters");
                }
            }
            What::Replay { topic, all: true, .. } => {
                println!("{} are ready again", dead_letters::replay_all(queue, &topic).await?);
            }
            What::Replay { topic, keys, .. } => {
                let replayed = dead_letters::replay(queue, &topic, &keys).await?;
                println!("{replayed} are ready again");
                if replayed < keys.len() as u64 {
                    eprintln!("minigram: the other keys are of no dead letter");
                    return Ok(ExitCode::FAILURE);
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A letter in one line without control characters: decoders have their own way to say what is wrong, and terminals obey.
fn show(letter: &DeadLetter) {
    let ago = Clock::System.now().since(letter.died).as_secs();
    let DeadLetter { job, attempts, reason, .. } = letter;
    let reason: String = reason.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    println!("{} {}  attempts {attempts}  died {ago} s ago  {reason}", job.topic, job.key);
}
