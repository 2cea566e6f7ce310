import { createMDX } from 'fumadocs-mdx/next';

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
