//! Role: writes analyses, sets poisonous messages aside.
