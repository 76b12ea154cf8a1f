//! The consumer: a polling thread of its own, positions from outside, events through a bounded channel.

use super::{Event, Positions, QueueError, Received, Subscribe, Subscription};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, ClientContext, Message, Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

/// Records that may wait between the consumer's thread and its owner.
const WAITING: usize = 4096;

/// How to reach the topic.
#[derive(Clone, Debug)]
pub struct ConsumerConfig {
    /// `host:port`, comma separated.
    pub brokers: String,
    /// The topic.
    pub topic: String,
    /// The consumer group, which shares the partitions out.
    pub group: String,
}

/// Consumes one topic as member of a group.
pub struct Consumer(pub ConsumerConfig);

struct Context {
    positions: Arc<Positions>,
    begun: Mutex<Vec<Event>>,
}

impl ClientContext for Context {}

impl ConsumerContext for Context {
    /// Eager protocol: an assignment begins where `positions` says, a revocation ends all.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, tpl: &mut TopicPartitionList) {
        let mut events = self.begun.lock().unwrap_or_else(|e| e.into_inner());
        let done = match err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, tpl, &mut events),
            _ => consumer.unassign().map_err(|e| e.to_string()),
        };
        if let Err(why) = done {
            drop(consumer.unassign());
            events.push(Event::Failed(why));
        }
    }
}

impl Context {
    fn assign(&self, consumer: &BaseConsumer<Self>, tpl: &mut TopicPartitionList, events: &mut Vec<Event>) -> Result<(), String> {
        let ours: Vec<(String, i32)> = tpl.elements().iter().map(|e| (e.topic().to_string(), e.partition())).collect();
        let partitions: Vec<i32> = ours.iter().map(|(_, p)| *p).collect();
        let known = (self.positions)(&partitions)?;
        for (topic, partition) in ours {
            let offset = known.get(&partition).copied().unwrap_or(0);
            tpl.set_partition_offset(&topic, partition, Offset::Offset(offset)).map_err(|e| e.to_string())?;
            events.push(Event::Begin { partition, offset });
        }
        consumer.assign(tpl).map_err(|e| e.to_string())
    }
}

impl Subscribe for Consumer {
    fn subscribe(&self, positions: Arc<Positions>) -> Result<Subscription, QueueError> {
        let context = Context { positions, begun: Mutex::default() };
        let consumer: BaseConsumer<Context> = settings(&self.0).create_with_context(context).map_err(QueueError::Setup)?;
        consumer.subscribe(&[&self.0.topic]).map_err(QueueError::Setup)?;
        let consumer = Arc::new(consumer);
        let (sender, events) = mpsc::channel(WAITING);
        let poller = consumer.clone();
        let started = std::thread::Builder::new().name("kafka-consumer".into()).spawn(move || poll(&poller, &sender));
        started.map_err(|e| QueueError::Refused { what: "start the consumer's thread", why: e.to_string() })?;
        let topic = self.0.topic.clone();
        let weak = Arc::downgrade(&consumer);
        let progress = move |at: &BTreeMap<i32, i64>| {
            let Some(consumer) = weak.upgrade() else { return };
            let mut tpl = TopicPartitionList::new();
            for (partition, next) in at {
                drop(tpl.add_partition_offset(&topic, *partition, Offset::Offset(*next)));
            }
            drop(consumer.commit(&tpl, CommitMode::Async)); // for display only
        };
        Ok(Subscription { events, progress: Arc::new(progress) })
    }
}

fn settings(config: &ConsumerConfig) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", &config.brokers)
        .set("group.id", &config.group)
        .set("client.id", "antihate-analyzer")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // A position that the topic no longer has is decided by the owner before it subscribes; here it must not jump.
        .set("auto.offset.reset", "earliest")
        .set("partition.assignment.strategy", "range,roundrobin")
        .set("session.timeout.ms", "10000")
        .set("fetch.queue.backoff.ms", "20")
        .set("fetch.wait.max.ms", "100")
        .set("queued.max.messages.kbytes", "8192")
        .set("queued.min.messages", "5000")
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set("reconnect.backoff.max.ms", "2000")
        .set("log_level", "3");
    settings
}

/// Polls until nobody listens any more.
fn poll(consumer: &BaseConsumer<Context>, sender: &mpsc::Sender<Event>) {
    loop {
        let polled = consumer.poll(Duration::from_millis(100));
        let begun = std::mem::take(&mut *consumer.context().begun.lock().unwrap_or_else(|e| e.into_inner()));
        for event in begun {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
        let event = match polled {
            None if sender.is_closed() => return,
            None => continue,
            Some(Err(e)) => {
                tracing::debug!(error = %e, "the consumer waits for the broker");
                continue;
            }
            Some(Ok(m)) => Event::Received(Received { partition: m.partition(), offset: m.offset(), payload: m.payload().unwrap_or_default().to_vec() }),
        };
        if sender.blocking_send(event).is_err() {
            return;
        }
    }
}
