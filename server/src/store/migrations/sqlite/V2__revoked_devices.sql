-- Position of the change that revoked the device; null for those revoked before revocations were in the log.
ALTER TABLE device ADD COLUMN revoked_pos INTEGER;
