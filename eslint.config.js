import js from '@eslint/js';
import globals from 'globals';

const rules = {
  ...js.configs.recommended.rules,
  eqeqeq: 'error',
  'no-var': 'error',
  'prefer-const': 'error',
  'no-implicit-coercion': 'error',
  'no-shadow': 'error',
  'no-throw-literal': 'error',
  'no-unused-vars': ['error', { argsIgnorePattern: '^_', caughtErrors: 'none' }],
  'no-restricted-properties': [
    'error',
    ...['innerHTML', 'outerHTML', 'insertAdjacentHTML'].map((property) => ({
      property,
      message: 'Write text with textContent, elements with h() of ui/dom.js.',
    })),
    { object: 'document', property: 'write', message: 'Build elements with h() of ui/dom.js.' },
  ],
};

export default [
  { files: ['web/static/ui/**/*.js', 'web/static/i18n/**/*.js'], languageOptions: { globals: globals.browser }, rules },
  {
    // The SDK runs in any page or worker: it has no DOM.
    files: ['web/static/sdk/**/*.js'],
    languageOptions: { globals: globals.browser },
    rules: { ...rules, 'no-restricted-globals': ['error', 'document', 'window', 'localStorage', 'location', 'history'] },
  },
  // Tests run in Node; what they hand to puppeteer runs in a page.
  {
    files: ['web/test/**/*.js', 'e2e/**/*.js', 'eslint.config.js'],
    languageOptions: { globals: { ...globals.browser, ...globals.node, seen: 'readonly' } },
    rules,
  },
];
