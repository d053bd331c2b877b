import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const here = fileURLToPath(new URL(".", import.meta.url));

/** The sources' digest, as tests/report/explorer/test_bundle.py computes it. */
function digest(): string {
  const hash = createHash("sha256");
  const files = ["index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts"];
  for (const entry of readdirSync(join(here, "src"), { recursive: true, withFileTypes: true }))
    if (entry.isFile())
      files.push(join(entry.parentPath, entry.name).slice(here.length).replaceAll("\\", "/"));
  for (const file of files.sort()) {
    hash.update(`${file}\n`);
    hash.update(readFileSync(join(here, file)));
  }
  return hash.digest("hex");
}

/** Writes the digest as the bundle's first line. */
function signed(): Plugin {
  return {
    name: "signed",
    generateBundle(_, bundle) {
      for (const part of Object.values(bundle))
        if (part.type === "chunk") part.code = `/* built by make explorer from sources ${digest()} */\n${part.code}`;
    },
  };
}

export default defineConfig({
  base: "./",
  esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
  plugins: [signed()],
  build: {
    outDir: "../static",
    emptyOutDir: true,
    target: ["es2022", "chrome123", "firefox120", "safari17.5"],
    modulePreload: false,
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    rollupOptions: {
      input: join(here, "index.html"),
      preserveEntrySignatures: "strict", // anywidget reads the default export
      output: {
        inlineDynamicImports: true,
        entryFileNames: "explorer.js",
        assetFileNames: "explorer[extname]",
      },
    },
  },
});
