//! The topic: produce and consume. Sole home of rdkafka.
