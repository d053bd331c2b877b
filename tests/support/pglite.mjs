// PostgreSQL with the real pgvector and pg_textsearch, compiled to WebAssembly, at 127.0.0.1:55432.
//
//   npm install @electric-sql/pglite @electric-sql/pglite-socket   (brings both extensions)
//   node pglite.mjs
//   export RUNOFF_PG_TEXTSEARCH="host=127.0.0.1 port=55432 user=postgres dbname=postgres sslmode=disable"
//
// `tests/recall/stores/test_postgres_bm25.py` then asks it too.
import { PGlite } from '@electric-sql/pglite'
import { pg_textsearch } from '@electric-sql/pglite-pg_textsearch'
import { vector } from '@electric-sql/pglite-pgvector'
import { PGLiteSocketServer } from '@electric-sql/pglite-socket'

const db = await PGlite.create({ extensions: { vector, pg_textsearch } })
await db.exec('CREATE EXTENSION vector; CREATE EXTENSION pg_textsearch')
await new PGLiteSocketServer({ db, host: '127.0.0.1', port: 55432, maxConnections: 10 }).start()
