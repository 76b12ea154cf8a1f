//! The topic in one process: partitions in memory, the same promises while the process lives.

use super::{Ends, Event, Positions, Producer, QueueError, Received, Record, Subscribe, Subscription};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// A topic; clones share it.
#[derive(Clone)]
pub struct Topic {
    partitions: Arc<Vec<Mutex<Vec<Vec<u8>>>>>,
}

impl Topic {
    /// An empty topic with so many partitions.
    pub fn new(partitions: usize) -> Self {
        let partitions = (0..partitions.max(1)).map(|_| Mutex::default()).collect();
        Topic { partitions: Arc::new(partitions) }
    }

    fn place(&self, key: &[u8]) -> usize {
        crc32c::crc32c(key) as usize % self.partitions.len()
    }

    fn get(&self, partition: usize, from: usize, most: usize) -> Vec<Vec<u8>> {
        let records = self.partitions[partition].lock().unwrap_or_else(|e| e.into_inner());
        records.iter().skip(from).take(most).cloned().collect()
    }
}

#[async_trait::async_trait]
impl Producer for Topic {
    async fn send(&self, records: Vec<Record>) -> Result<(), QueueError> {
        for r in records {
            self.partitions[self.place(&r.key)].lock().unwrap_or_else(|e| e.into_inner()).push(r.payload);
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Ends for Topic {
    async fn ends(&self) -> Result<BTreeMap<i32, (i64, i64)>, QueueError> {
        let len = |p: &Mutex<Vec<Vec<u8>>>| p.lock().unwrap_or_else(|e| e.into_inner()).len() as i64;
        Ok(self.partitions.iter().enumerate().map(|(i, p)| (i as i32, (0, len(p)))).collect())
    }
}

impl Subscribe for Topic {
    fn subscribe(&self, positions: Arc<Positions>) -> Result<Subscription, QueueError> {
        let (sender, events) = mpsc::channel(1024);
        let topic = self.clone();
        let started = std::thread::Builder::new().name("memory-consumer".into()).spawn(move || consume(&topic, &*positions, &sender));
        started.map_err(|e| QueueError::Refused { what: "start the consumer's thread", why: e.to_string() })?;
        Ok(Subscription { events, progress: Arc::new(|_| ()) })
    }
}

fn consume(topic: &Topic, positions: &Positions, sender: &mpsc::Sender<Event>) {
    let all: Vec<i32> = (0..topic.partitions.len() as i32).collect();
    let mut at = match positions(&all) {
        Ok(known) => all.iter().map(|p| (*p, known.get(p).copied().unwrap_or(0))).collect::<BTreeMap<_, _>>(),
        Err(why) => return drop(sender.blocking_send(Event::Failed(why))),
    };
    for (partition, offset) in &at {
        drop(sender.blocking_send(Event::Begin { partition: *partition, offset: *offset }));
    }
    while !sender.is_closed() {
        let mut idle = true;
        for (partition, next) in &mut at {
            for payload in topic.get(*partition as usize, *next as usize, 256) {
                idle = false;
                if sender.blocking_send(Event::Received(Received { partition: *partition, offset: *next, payload })).is_err() {
                    return;
                }
                *next += 1;
            }
        }
        if idle {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_consumer_begins_where_it_is_told_and_sees_every_record_once() {
        let topic = Topic::new(2);
        let record = |i: u8| Record { key: vec![i], payload: vec![i] };
        topic.send((0..100).map(record).collect()).await.unwrap();
        let mut s = topic.subscribe(Arc::new(|_: &[i32]| Ok([(0, 5)].into()))).unwrap();
        let total = topic.ends().await.unwrap().values().map(|e| e.1).sum::<i64>();
        let mut seen = std::collections::BTreeSet::new();
        let mut begun = Vec::new();
        while seen.len() as i64 + 5 < total {
            match s.events.recv().await.unwrap() {
                Event::Begin { partition, offset } => begun.push((partition, offset)),
                Event::Received(r) => assert!(seen.insert((r.partition, r.offset))),
                Event::Failed(why) => panic!("{why}"),
            }
        }
        assert_eq!((begun, total), (vec![(0, 5), (1, 0)], 100));
        assert!(!seen.contains(&(0, 4)));
    }
}
