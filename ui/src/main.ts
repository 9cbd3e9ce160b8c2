import '@fontsource-variable/inter/wght.css';
import './styles/base.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { serve } from './lib/api';
import { httpCircles } from './lib/http';
import { ipcCircles } from './lib/ipc';
import { view } from './state/view.svelte';

serve('__TAURI_INTERNALS__' in window ? ipcCircles() : httpCircles());
view.loadTheme();

const target = document.getElementById('app');
if (!target) throw new Error('index.html has no #app');
mount(App, { target });
