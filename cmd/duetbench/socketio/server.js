// The signaling server that WebRTC tutorials write with Socket.IO: what one says in a room,
// the others in it hear.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { transports: ['websocket'] });

io.on('connection', (socket) => {
  socket.on('join', (room) => {
    socket.join(room);
    socket.emit('joined', room, io.sockets.adapter.rooms.get(room).size);
    socket.to(room).emit('ready', socket.id);
  });
  for (const event of ['offer', 'answer', 'candidate']) {
    socket.on(event, (room, message) => socket.to(room).emit(event, message, socket.id));
  }
});

http.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000), backlog: 4096 });
