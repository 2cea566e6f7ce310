import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { createMDX } from 'fumadocs-mdx/next';

// On a forge Next.js warns where no cache of an earlier build lies. None is kept between its runs: a build takes half a minute.
mkdirSync(path.join(import.meta.dirname, '.next/cache'), { recursive: true });

/** @type {import('next').NextConfig} */
const config = {
  output: 'export',
  // `x/index.html` is found by every web server, also by one that knows nothing of `x.html`.
  trailingSlash: true,
  reactStrictMode: true,
  // This folder is the whole project, whatever lock files lie above it.
  turbopack: { root: import.meta.dirname },
  // The export has no server that could resize images.
  images: { unoptimized: true },
};

export default createMDX()(config);
