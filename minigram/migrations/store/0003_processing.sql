-- Photos whose sizes are not there yet are few.
CREATE INDEX photos_processing ON photos (id) WHERE ready = 0;
