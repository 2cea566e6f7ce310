import { defineConfig, defineDocs } from 'fumadocs-mdx/config';
import { CODE_THEMES, consoleLines, parseFenceWords } from './lib/code.mjs';
import { remarkRepositoryLinks } from './lib/remark-repository-links.mjs';

// The one list of all pages, in the order in which they are read. A section holds the pages of one folder of content/docs, and `group` is
// the heading of the sidebar above it and the sections that follow.
// scripts/navigation.mjs makes the meta.json files of it. A page in no section, or one that is not there, fails the build and
// tests/docs/test_navigation.py.
const navigation = [
  {
    group: 'Get started',
    title: 'Getting started',
    pages: ['getting-started/installation', 'getting-started/quickstart'],
  },
  {
    group: 'Guides',
    title: 'Guides',
    pages: [
      'guides/overview',
      'guides/structured-output',
      'guides/branches-and-loops',
      'guides/human-approval',
      'guides/give-an-agent-a-tool',
      'guides/approve-tool-calls',
      'guides/remember',
      'guides/limit-costs',
      'guides/offer-workflows-over-mcp',
      'guides/receive-webhooks',
      'guides/documents',
      'guides/ci-tests',
      'guides/http-and-python',
      'guides/web-page',
      'guides/stream-a-run',
      'guides/generate-a-client',
      'guides/schedule',
      'guides/events',
      'guides/notify-on-failure',
      'guides/users-and-api-keys',
      'guides/sign-in-with-oidc',
      'guides/docker',
      'guides/kubernetes',
      'guides/systemd',
      'guides/move-to-postgresql',
      'guides/back-up',
      'guides/monitor',
    ],
  },
  {
    title: 'Deployment',
    pages: ['deployment/production', 'deployment/scaling', 'deployment/edge'],
  },
  {
    title: 'Troubleshooting',
    pages: ['troubleshooting/overview', 'troubleshooting/database', 'troubleshooting/workflows'],
  },
  {
    title: 'Examples',
    pages: ['examples/overview'],
  },
  {
    group: 'Concepts',
    title: 'Concepts',
    pages: ['concepts/overview', 'concepts/architecture', 'concepts/durability'],
  },
  {
    title: 'Workflows',
    pages: [
      'workflows/overview',
      'workflows/tasks',
      'workflows/parallel',
      'workflows/collection',
      'workflows/composite',
      'workflows/sub-workflows',
      'workflows/router',
      'workflows/aggregate',
      'workflows/wait-and-signal',
      'workflows/limits',
      'workflows/conditions',
      'workflows/templates',
      'workflows/template-functions',
      'workflows/validation',
      'workflows/from-2025',
    ],
  },
  {
    title: 'Agents',
    pages: [
      'agents/overview',
      'agents/shared',
      'agents/tools',
      'agents/typescript-tools',
      'agents/http-tools',
      'agents/openapi-tools',
      'agents/built-in-tools',
      'agents/sub-agents',
      'agents/mcp',
      'agents/attachments',
      'agents/providers',
    ],
  },
  {
    title: 'Knowledge bases',
    pages: ['knowledge-bases/overview', 'knowledge-bases/vector-databases'],
  },
  {
    title: 'Database',
    pages: ['database/overview', 'database/postgresql', 'database/sqlite', 'database/move-and-backup'],
  },
  {
    group: 'Reference',
    title: 'CLI',
    pages: [
      'cli/workflow',
      'cli/chat',
      'cli/start',
      'cli/knowledge',
      'cli/memory',
      'cli/schedule',
      'cli/event',
      'cli/webhook',
      'cli/mcp',
      'cli/auth',
      'cli/migrate',
      'cli/db',
      'cli/test',
      'cli/doctor',
      'cli/bench',
      'cli/verify',
      'cli/config',
    ],
  },
  {
    title: 'Configuration',
    pages: ['configuration/project-file', 'configuration/database'],
  },
  {
    title: 'HTTP API',
    pages: ['api/overview'],
  },
  {
    title: 'Reference',
    pages: ['reference/cli', 'reference/configuration', 'reference/workflow', 'reference/errors'],
  },
  {
    group: 'Project',
    title: 'Project',
    pages: ['project/limitations', 'project/comparison', 'project/benchmarks'],
  },
  {
    title: 'Security',
    pages: ['security/overview'],
  },
  {
    title: 'Contributing',
    pages: ['contributing/overview', 'contributing/testing'],
  },
];

export const docs = defineDocs({ dir: 'content/docs' });

const config = defineConfig({
  mdxOptions: {
    remarkPlugins: [remarkRepositoryLinks],
    rehypeCodeOptions: {
      themes: CODE_THEMES,
      icon: false,
      transformers: [consoleLines],
      parseMetaString: parseFenceWords,
    },
  },
});

// Fumadocs reads collections only from named exports, so the list is handed on here.
export default { ...config, navigation };
