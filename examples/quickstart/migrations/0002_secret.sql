-- One row: the secret that signs and encrypts the cookies.
CREATE TABLE secret (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    bytes BLOB    NOT NULL
);
