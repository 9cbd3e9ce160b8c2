-- A relay on the LAN is known by its key; its addresses are where it was, the last first, separated by spaces.
ALTER TABLE campus ADD COLUMN lan_key BLOB;
ALTER TABLE campus ADD COLUMN lan_addresses TEXT;
