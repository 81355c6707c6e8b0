import { defineConfig } from "vite";

// Everything is served by the binary under a strict Content-Security-Policy: no inline script, no inline
// style, nothing from elsewhere. `assetsInlineLimit: 0` keeps files files.
export default defineConfig({
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
