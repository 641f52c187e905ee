/**
 * Polars, as a program of its own, because its calls hold up the event loop, on which the replica runs.
 *
 *     write URL DAY | files URL | count URL | digest URL | select URL DAY FIRST LAST
 *
 * It prints what it found as JSON. `OPTIONS` in the environment is how it reaches the store.
 */
import pl, { type LazyDataFrame } from "nodejs-polars";
import { type Columns, columnsOf, digestOf, rowsPerGroup } from "./columnar-table.ts";

const cloudOptions = JSON.parse(process.env["OPTIONS"] ?? "{}") as Record<string, string>;
const [action = "", url = "", day = "", first = "", last = ""] = process.argv.slice(2);

async function run(): Promise<unknown> {
  switch (action) {
    case "write": {
      const { id, ...rest } = columnsOf(Number(day));
      const rows = pl.DataFrame({ id: pl.Series("id", id, pl.Int32), ...rest }).lazy();
      const file = { compression: "uncompressed", rowGroupSize: rowsPerGroup, statistics: true };
      const sinkOptions = { maintainOrder: true, syncOnClose: "none", mkdir: false };
      await rows.sinkParquet(url, { ...file, sinkOptions, cloudOptions, retries: 0 }).collect();
      return null;
    }
    case "files":
      return (await scan({ includeFilePaths: "file" }).select("file").unique().collect())
        .getColumn("file")
        .toArray();
    case "count":
      return (await scan().select(pl.len()).collect()).getColumn("len").toArray()[0];
    case "digest": {
      const table = await scan().collect();
      const [id, label, payload] = ["id", "label", "payload"].map((name) => table.getColumn(name).toArray());
      return digestOf({ id, label, payload } as Columns);
    }
    case "select": {
      const id = pl.col("id");
      // Of the column's type: only then do the statistics of a row group count.
      const [from, to] = [first, last].map((text) => pl.lit(Number(text)).cast(pl.Int32));
      const wanted = id.gtEq(from).and(id.ltEq(to));
      const rows = scan()
        .filter(pl.col("day").eq(Number(day)).and(wanted))
        .select("day", "id", "label");
      return (await rows.collect()).toRecords();
    }
    default:
      throw new Error(`unknown action "${action}"`);
  }
}

function scan(more: { includeFilePaths?: string } = {}): LazyDataFrame {
  const read = { hivePartitioning: true, useStatistics: true, ...more };
  return pl.scanParquet(url, { ...read, cloudOptions, retries: 0 });
}

process.stdout.write(JSON.stringify(await run()));
